# Turns the lines of a terminal into an SVG picture. Each ends with the colour that it begins with;
# an escape sequence that is not known here is an error: it would be missing in the picture.
function colour(code, name) { gsub("\033\\[" code "m", "<tspan class=\"" name "\">") }
BEGIN {
  # The picture brings its own background, so that it can be read on any page.
  style = ".bold { font-weight: bold } .faint { fill: #59636e }\n" \
    ".red { fill: #cf222e } .green { fill: #1a7f37 } .yellow { fill: #9a6700 }\n" \
    "@media (prefers-color-scheme: dark) {\n" \
    ".panel { fill: #0d1117; stroke: #3d444d } .screen { fill: #f0f6fc } .faint { fill: #9198a1 }\n" \
    ".red { fill: #ff7b72 } .green { fill: #3fb950 } .yellow { fill: #d29922 }\n}"
}
{
  gsub(/\r/, ""); gsub(/&/, "\\&amp;"); gsub(/</, "\\&lt;"); gsub(/>/, "\\&gt;")
  colour(1, "bold"); colour(2, "faint"); colour(31, "red"); colour(32, "green"); colour(33, "yellow")
  gsub(/\033\[0m/, "</tspan>")
  if (/[[:cntrl:]]/) { print "pictures: line " NR " has something that cannot be drawn" > "/dev/stderr"; exit failed = 1 }
  line[NR] = $0
}
END {
  if (failed) exit 1
  # 8.4 is six tenths of the font's size, as monospaced fonts have it.
  width = columns * 8.4 + 32; height = NR * 19 + 32
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"%s\" height=\"%s\" viewBox=\"0 0 %s %s\">\n", width, height, width, height
  printf "<title>%s</title>\n<style>%s</style>\n", title, style
  printf "<rect x=\"0.5\" y=\"0.5\" width=\"%s\" height=\"%s\" rx=\"8\" fill=\"#f6f8fa\" stroke=\"#d0d7de\" class=\"panel\"/>\n", width - 1, height - 1
  print "<g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"14\" fill=\"#1f2328\" class=\"screen\">"
  for (i = 1; i <= NR; i++) printf "<text x=\"16\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", i * 19 + 11, line[i]
  print "</g>\n</svg>"
}
