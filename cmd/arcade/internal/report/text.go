package report

import (
	"bytes"
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// page is the file in the making.
type page struct {
	bytes.Buffer
	now time.Time
}

func (p *page) add(parts ...string) {
	for _, part := range parts {
		p.WriteString(part)
	}
}

// section opens a part of the page; "</section>" closes it.
func (p *page) section(title, note string) {
	p.add("<section><h2>", title, "</h2>\n<p class=note>", note, "</p>\n")
}

// moment is a time to the minute, with the year unless it is this one.
func (p *page) moment(t time.Time) string {
	layout := "2 Jan 15:04"
	if t = t.In(p.now.Location()); t.Year() != p.now.Year() {
		layout = "2 Jan 2006 15:04"
	}
	return t.Format(layout)
}

func (p *page) clock(t time.Time) string { return "<time>" + p.moment(t) + "</time>" }

// stretch is a span of time; a zero until is now.
func (p *page) stretch(from, until time.Time) string {
	switch {
	case until.IsZero(), until.Equal(p.now):
		return p.clock(from) + " – now"
	case p.moment(from) == p.moment(until):
		return p.clock(from)
	}
	return p.clock(from) + " – " + p.clock(until)
}

// text makes foreign text harmless and hides nothing of it: invisible characters, and those that reverse the order
// of others, appear as their numbers, and so do marks beyond the third on one letter, which would run into other
// lines. It escapes no quotes, which are a quarter of a message: foreign text stands between tags, never inside one.
func text(s string) string {
	var b strings.Builder
	marks := 0
	for _, r := range s {
		if marks++; !unicode.Is(unicode.M, r) {
			marks = 0
		}
		switch {
		case strings.ContainsRune("<>&", r):
			b.WriteString(html.EscapeString(string(r)))
		case r != '\n' && r != '\t' && unicode.In(r, unicode.C, unicode.Zl, unicode.Zp), r == utf8.RuneError, marks > 3:
			fmt.Fprintf(&b, "<i>U+%04X</i>", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// foreign is a text of at most limit characters that does not change the writing direction around it.
func foreign(s string, limit int) string { return "<bdi>" + text(clip(s, limit)) + "</bdi>" }

// code shows an id. PostHog cuts ids at 200 characters, ours have 40 at most.
func code(id string) string { return "<code>" + foreign(id, 60) + "</code>" }

// clip shortens a text to limit characters, the last of which is an ellipsis.
func clip(s string, limit int) string {
	if letters := []rune(s); len(letters) > limit {
		return string(letters[:limit-1]) + "…"
	}
	return s
}

// number groups thousands.
func number(n int) string {
	digits := strconv.Itoa(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

func counted(n int, one, many string) string {
	return number(n) + " " + map[bool]string{true: one, false: many}[n == 1]
}

// label is the page's word for a state: "pending" says little to people.
func label(s outbox.State) string {
	if s == outbox.Pending {
		return "waiting"
	}
	return string(s)
}

// cut is the note above a list that shows only most of total items, "" if it shows all.
func cut(total, most int, which, what string) string {
	if total <= most {
		return ""
	}
	return " Cut: the " + which + " " + number(most) + " of " + number(total) + " " + what + "."
}

// unit is a length in a drawing, with two decimals at most.
func unit(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(x, 'f', 2, 64), "0"), ".")
}
