package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"strconv"
)

//go:embed style.css
var style string

// policy lets the browser use the style of this file and nothing else: no script, no request,
// whatever a message may contain.
func policy() string {
	digest := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; base-uri 'none'; form-action 'none'"
}

func (p *page) head(data Data) {
	p.add("<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n",
		`<meta http-equiv="Content-Security-Policy" content="`, policy(), "\">\n",
		"<meta name=viewport content=\"width=device-width, initial-scale=1\">\n",
		"<meta name=color-scheme content=\"light dark\">\n<meta name=referrer content=no-referrer>\n",
		"<title>arcade usage report</title>\n<style>", style, "</style>\n<main>\n",
		"<header><p class=brand>arcade usage</p>\n<h1>What this machine recorded, and what became of it</h1>\n",
		"<p class=sub>", data.Now.Format("Monday, 2 January 2006, 15:04 MST"), " · arcade ", foreign(data.Version, 40),
		" · made on this machine, sent nowhere</p></header>\n")
	p.tiles(data.Counts)
	p.status(data.Status)
}

func (p *page) tiles(c Counts) {
	p.add("<ul class=tiles>")
	p.tile("delivered", c.Delivered, "Delivered", "accepted by the server")
	p.tile("pending", c.Pending, "Waiting", "recorded, not sent yet")
	p.tile("dead", c.Dead, "Dead", "refused for good, kept to be seen")
	p.tile("dropped", c.Dropped, "Dropped", "too old or too many, never sent")
	p.add("</ul>\n")
}

func (p *page) tile(class string, n int, label, what string) {
	if n == 0 {
		class += " none"
	}
	p.add(`<li class="`, class, `"><b>`, label, "</b><data value=", strconv.Itoa(n), ">", number(n), "</data><span>", what, "</span></li>")
}

func (p *page) status(lines []Line) {
	p.add("<dl class=status>\n")
	for _, line := range lines {
		p.add("<div><dt>", foreign(line.Label, 40), "</dt><dd>", foreign(line.Text, 400), "</dd></div>\n")
	}
	p.add("</dl>\n")
}

func (p *page) foot(data Data) {
	p.add("<footer><p>", text(clip(data.Keeping, 400)),
		" <code>arcade usage export</code> prints all messages as they are sent, ",
		"<code>arcade usage disable</code> stops recording and erases them.</p></footer>\n</main>\n</html>\n")
}

// section opens a part of the page; the caller closes it.
func (p *page) section(title, note string) {
	p.add("<section><h2>", title, "</h2>\n<p class=note>", note, "</p>\n")
}

func (p *page) end() { p.add("</section>\n") }

// cut says above a list that it is not all there is.
func cut(shown, total int, what, which string) string {
	if shown == total {
		return ""
	}
	return "Cut: the " + which + " " + number(shown) + " of " + number(total) + " " + what + "."
}
