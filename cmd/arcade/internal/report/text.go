package report

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many marks may stand on one letter: more of them would run into other lines.
const maxMarks = 3

// text makes foreign text harmless and leaves nothing of it unseen: what would turn the order
// of letters around, or does not show, appears as its number.
func text(s string) string {
	var b strings.Builder
	marks := 0
	for _, r := range s {
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) || r == utf8.RuneError || marks > maxMarks:
			fmt.Fprintf(&b, "<i>U+%04X</i>", r)
		default:
			b.WriteString(escape(r))
		}
	}
	return b.String()
}

// escape leaves quotes as they are: foreign text stands between tags only, never inside one,
// and a message is a quarter quotes.
func escape(r rune) string {
	if r == '"' || r == '\'' {
		return string(r)
	}
	return html.EscapeString(string(r))
}

// foreign is a text of at most limit characters, apart from the direction of what is around it.
func foreign(s string, limit int) string {
	return "<bdi>" + text(clip(s, limit)) + "</bdi>"
}

// clip shortens to limit characters, the last of which says so.
func clip(s string, limit int) string {
	seen := 0
	for at := range s {
		if seen++; seen > limit {
			_, size := utf8.DecodeLastRuneInString(s[:at])
			return s[:at-size] + "…"
		}
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

// counted words a number of things.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// took words a command's duration with three digits or so.
func took(d time.Duration) string {
	switch ms := float64(d) / float64(time.Millisecond); {
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
}

// span words a stretch of time with its two largest units.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day:
		return both(int(d/day), "d", int(d%day/time.Hour), "h")
	case d >= time.Hour:
		return both(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "min")
	case d >= time.Minute:
		return strconv.Itoa(int(d/time.Minute)) + " min"
	default:
		return strconv.Itoa(int(d/time.Second)) + " s"
	}
}

func both(large int, largeUnit string, small int, smallUnit string) string {
	if small == 0 {
		return fmt.Sprintf("%d %s", large, largeUnit)
	}
	return fmt.Sprintf("%d %s %d %s", large, largeUnit, small, smallUnit)
}

// clock shows a moment.
func (p *page) clock(t time.Time) string { return "<time>" + p.plain(t) + "</time>" }

// plain is a moment to the minute, with its year only if it is not this one.
func (p *page) plain(t time.Time) string {
	t = t.In(p.now.Location())
	layout := "2 Jan 15:04"
	if t.Year() != p.now.Year() {
		layout = "2 Jan 2006 15:04"
	}
	return t.Format(layout)
}

// stretch shows from when until when.
func (p *page) stretch(from, until time.Time) string {
	first, last := p.clock(from), p.clock(until)
	if first == last {
		return first
	}
	return first + " – " + last
}
