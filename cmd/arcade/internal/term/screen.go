// Package term is what a person sees and types: the terminal, tables, prompts, progress, and
// the wording of times and counts. Foreign text is cleaned here, on its way out.
//
// The package knows nothing of the program that uses it.
package term

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// Screen is the three streams of a program.
type Screen struct {
	// In is standard input.
	In io.Reader
	// Out and Err are standard output and standard error.
	Out, Err *Stream
}

// New looks at the streams, and at the variables that say what a terminal can do.
func New(in io.Reader, out, err io.Writer, env func(name string) string) *Screen {
	return &Screen{In: in, Out: newStream(out, env), Err: newStream(err, env)}
}

// Stream is one stream, and how to write to it: for a person's eyes or for a program. Nothing
// that a terminal obeys passes it but our own colours, see Write.
type Stream struct {
	// Interactive says that it is a terminal.
	Interactive bool
	// Width is that of the terminal, in characters; 80 where it cannot be told.
	Width int
	// Colour and Unicode say that it takes ANSI colours, and characters beyond ASCII.
	Colour, Unicode bool
	// Rewrites says that a line can be written over.
	Rewrites bool

	w      io.Writer
	failed error
}

// Failed returns the first error of a write, a *WriteError, nil when all has got out.
func (s *Stream) Failed() error { return s.failed }

// Closed reports whether a write met a pipe whose reader is gone.
func (s *Stream) Closed() bool { return isClosedPipe(s.failed) }

// Unread reports whether the stream is a pipe whose reader is gone. A program that seldom writes asks.
func (s *Stream) Unread() bool {
	file, ok := s.w.(*os.File)
	return ok && isUnread(file)
}

func newStream(w io.Writer, env func(string) string) *Stream {
	s := &Stream{w: w, Width: 80}
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return s
	}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 {
		s.Width = width
	}
	dumb := env("TERM") == "dumb"
	s.Interactive, s.Rewrites, s.Unicode = true, !dumb, !dumb && isUTF8(env)
	// https://no-color.org and https://bixense.com/clicolors
	s.Colour = !dumb && env("NO_COLOR") == "" && env("CLICOLOR") != "0" && knowsColours(file)
	return s
}

// isUTF8 reads the locale as setlocale does. Windows consoles have no locale and take Unicode.
func isUTF8(env func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToUpper(env(name)); value != "" {
			return strings.Contains(value, "UTF-8") || strings.Contains(value, "UTF8")
		}
	}
	return env("SystemRoot") != ""
}

// Colour is an ANSI SGR code.
type Colour int

// The colours.
const (
	Bold   Colour = 1
	Red    Colour = 31
	Green  Colour = 32
	Yellow Colour = 33
)

// Paint colours a text where colours are wanted.
func (s *Stream) Paint(c Colour, text string) string {
	if !s.Colour {
		return text
	}
	return c.begin() + text + reset
}

// reset ends a colour.
const reset = "\x1b[0m"

func (c Colour) begin() string { return "\x1b[" + strconv.Itoa(int(c)) + "m" }

// Clip shortens a text to n characters.
func (s *Stream) Clip(text string, n int) string {
	runes := []rune(text)
	switch {
	case len(runes) <= n:
		return text
	case s.Unicode:
		return string(runes[:max(n-1, 0)]) + "…"
	default:
		return string(runes[:max(n-2, 0)]) + ".."
	}
}

// Wrap breaks a text for a person at blanks, indent characters before the edge. A program gets
// it as it is.
func (s *Stream) Wrap(text string, indent int) string {
	if !s.Interactive {
		return text
	}
	return wrap(text, s.Width-indent)
}
