// Package term is what a user sees and types: the terminal, tables, prompts, progress, and the
// wording of times and counts. It cleans foreign text on its way out, and knows nothing of the
// program that uses it.
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
	In       io.Reader
	Out, Err *Stream
}

// New makes a screen of three streams; env is the environment, which tells what a terminal can do.
func New(in io.Reader, out, err io.Writer, env func(name string) string) *Screen {
	return &Screen{In: in, Out: newStream(out, env), Err: newStream(err, env)}
}

// Stream is an output stream to a terminal or a program. It passes no control sequences but our own colours, see
// Write.
type Stream struct {
	Interactive bool // a terminal
	Width       int  // of the terminal, in characters; 80 where that is unknown
	Colour      bool // takes ANSI colours
	Unicode     bool // takes characters beyond ASCII
	Rewrites    bool // lets a carriage return overwrite a line

	w      io.Writer
	failed error
}

// Failed returns the first *WriteError, nil for none.
func (s *Stream) Failed() error { return s.failed }

// Closed reports whether a write has failed because the pipe's reader is gone.
func (s *Stream) Closed() bool { return isClosedPipe(s.failed) }

// Unread reports whether the pipe's reader is gone, for a program that seldom writes.
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

// isUTF8 reads the locale as setlocale does. A Windows console has none and takes Unicode.
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

	reset Colour = 0
)

// Paint colours a text where colours are wanted.
func (s *Stream) Paint(c Colour, text string) string {
	if !s.Colour {
		return text
	}
	return c.sequence() + text + reset.sequence()
}

func (c Colour) sequence() string { return "\x1b[" + strconv.Itoa(int(c)) + "m" }

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
