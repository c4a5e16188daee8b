package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// terminal says how to write to a stream: for a person's eyes or for a program.
type terminal struct {
	interactive bool
	width       int  // in characters
	colour      bool // ANSI colours
	unicode     bool // characters beyond ASCII
}

// terminal examines a stream. Width counts as 80 where it cannot be told.
func (a *app) terminal(w io.Writer) terminal {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return terminal{width: 80}
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	dumb := a.env("TERM") == "dumb"
	return terminal{
		interactive: true,
		width:       width,
		// https://no-color.org and https://bixense.com/clicolors
		colour:  !dumb && a.env("NO_COLOR") == "" && a.env("CLICOLOR") != "0" && knowsColours(file),
		unicode: !dumb && a.isUTF8(),
	}
}

// isUTF8 reads the locale as setlocale does. Windows consoles have no locale and take Unicode.
func (a *app) isUTF8() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToUpper(a.env(name)); value != "" {
			return strings.Contains(value, "UTF-8") || strings.Contains(value, "UTF8")
		}
	}
	return a.env("SystemRoot") != ""
}

// paint colours a text with an ANSI SGR code, where colours are wanted.
func (t terminal) paint(code int, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + strconv.Itoa(code) + "m" + s + "\x1b[0m"
}

// ANSI SGR codes.
const (
	bold   = 1
	faint  = 2
	red    = 31
	green  = 32
	yellow = 33
)

// clip shortens a text to n characters.
func (t terminal) clip(s string, n int) string {
	runes := []rune(s)
	switch {
	case len(runes) <= n:
		return s
	case t.unicode:
		return string(runes[:max(n-1, 0)]) + "…"
	default:
		return string(runes[:max(n-2, 0)]) + ".."
	}
}

// wrap breaks a text for a person at blanks. A program gets it as it is.
func (t terminal) wrap(s string) string {
	if !t.interactive {
		return s
	}
	return wrap(s, t.width)
}

// ago words a time relative to now; times in the future come from a clock that was wrong.
func ago(at, now time.Time) string {
	if at.IsZero() {
		return "never"
	}
	d := now.Sub(at)
	switch {
	case d < -time.Minute:
		return "in the future"
	case d < 2*time.Second:
		return "just now"
	default:
		return span(d) + " ago"
	}
}

// clock is a time of today as a clock shows it, and of another day with its date.
func (a *app) clock(at time.Time) string {
	at = at.Local()
	if at.Format(time.DateOnly) == a.now().Local().Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format("2006-01-02 15:04")
}

// span words a duration in its largest unit.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 2*day:
		return strconv.Itoa(int(d.Hours())) + " h"
	default:
		return strconv.Itoa(int(d/day)) + " days"
	}
}

// rfc3339 is a time for programs, in UTC with milliseconds, "" for none.
func rfc3339(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// progress is a line on stderr that is rewritten in place. On anything but a terminal it
// stays silent, and beside --debug, whose lines would end up in it.
type progress struct {
	w     io.Writer
	total int
	width int
	on    bool
}

func (a *app) newProgress(total int) *progress {
	t := a.terminal(a.err)
	return &progress{w: a.err, total: total, width: min(t.width, 80), on: t.interactive && a.env("TERM") != "dumb" && !a.debugRequests}
}

func (p *progress) show(settled int) {
	if !p.on {
		return
	}
	settled = min(settled, p.total)
	label := fmt.Sprintf(" %d of %d", settled, p.total)
	cells := max(p.width-len(label)-3, 1)
	full := cells * settled / max(p.total, 1)
	fmt.Fprintf(p.w, "\r[%s%s]%s", strings.Repeat("#", full), strings.Repeat(".", cells-full), label)
}

// done wipes the line.
func (p *progress) done() {
	if p.on {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width-1))
	}
}
