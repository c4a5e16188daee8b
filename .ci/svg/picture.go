package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Sizes in pixels. cellWidth is six tenths of fontSize, as monospaced fonts have it; each
// span says its width, so that another font is stretched to it.
const (
	fontSize   = 14
	cellWidth  = 8.4
	lineHeight = 19
	margin     = 16
)

// The picture brings its own background, so that it can be read on any page. What is the
// same everywhere are attributes, for programs that know only a part of CSS.
const (
	panel = `fill="#f6f8fa" stroke="#d0d7de" class="panel"`
	font  = `font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#1f2328" class="screen"`
	theme = `
.bold { font-weight: bold } .faint { fill: #59636e }
.red { fill: #cf222e } .green { fill: #1a7f37 } .yellow { fill: #9a6700 } .cyan { fill: #0969da }
@media (prefers-color-scheme: dark) {
.panel { fill: #0d1117; stroke: #3d444d } .screen { fill: #f0f6fc } .faint { fill: #9198a1 }
.red { fill: #ff7b72 } .green { fill: #3fb950 } .yellow { fill: #d29922 } .cyan { fill: #58a6ff }
}
`
)

// draw writes the picture. The same lines give the same bytes.
func draw(out io.Writer, lines []line, columns int, title string) error {
	width, height := float64(columns)*cellWidth+2*margin, float64(len(lines)*lineHeight+2*margin)
	var b bytes.Buffer
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"%[1]s\" height=\"%[2]s\" viewBox=\"0 0 %[1]s %[2]s\">\n",
		pixels(width), pixels(height))
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n", escape(title), theme)
	fmt.Fprintf(&b, "<rect x=\"0.5\" y=\"0.5\" width=\"%s\" height=\"%s\" rx=\"8\" %s/>\n<g %s>\n",
		pixels(width-1), pixels(height-1), panel, font)
	for i, l := range lines {
		for _, s := range l {
			drawSpan(&b, s, margin+i*lineHeight+fontSize)
		}
	}
	b.WriteString("</g>\n</svg>\n")
	_, err := b.WriteTo(out)
	return err
}

// drawSpan draws at the base line y.
func drawSpan(b *bytes.Buffer, s span, y int) {
	class := ""
	if names := s.style.names(); names != "" {
		class = ` class="` + names + `"`
	}
	fmt.Fprintf(b, "<text x=\"%s\" y=\"%d\" textLength=\"%s\"%s>%s</text>\n",
		pixels(margin+float64(s.column)*cellWidth), y,
		pixels(float64(utf8.RuneCountInString(s.text))*cellWidth), class, escape(s.text))
}

func (s style) names() string {
	var list []string
	if s.bold {
		list = append(list, "bold")
	}
	if s.faint {
		list = append(list, "faint")
	}
	if s.colour != "" {
		list = append(list, s.colour)
	}
	return strings.Join(list, " ")
}

// pixels writes a length with one decimal at most.
func pixels(n float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0")
}

func escape(text string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(text)); err != nil { // a Builder takes everything
		panic(err)
	}
	return b.String()
}
