package term

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// promptLimit is the length, in bytes, at which Linux silently cuts a line that is typed
// or pasted (its N_TTY buffer has 4096 with the line break).
const promptLimit = 4095

var (
	// ErrTooLongToType means that a terminal may have cut what was typed.
	ErrTooLongToType = fmt.Errorf("a terminal passes on less than %d bytes", promptLimit)
	// ErrSeveralLines means that more than one line was pasted.
	ErrSeveralLines = errors.New("several lines were pasted or typed, and one is asked for")
)

// Bracketed paste: a terminal that is asked to marks where a paste begins and ends.
// https://invisible-island.net/xterm/xterm-paste64.html
const (
	bracketsOn, bracketsOff = "\x1b[?2004h", "\x1b[?2004l"
	pasteBegins, pasteEnds  = "\x1b[200~", "\x1b[201~"
)

// bracketPastes makes a terminal mark pastes, or stop. The sequence is ours, so it is not cleaned.
func (s *Stream) bracketPastes(sequence string) {
	if s.Rewrites {
		_, _ = io.WriteString(s.w, sequence) // where it fails, the question does, too
	}
}

// oneLine takes the marks of a paste and the line end off what was typed.
func oneLine(typed string) (string, error) {
	line := strings.TrimRight(strings.NewReplacer(pasteBegins, "", pasteEnds, "").Replace(typed), "\r\n")
	switch {
	case strings.ContainsAny(line, "\r\n"):
		return "", ErrSeveralLines
	case len(line) >= promptLimit:
		return "", ErrTooLongToType
	}
	return line, nil
}

// isPasteOpen reports whether a paste has begun and not ended.
func isPasteOpen(typed string) bool {
	return strings.LastIndex(typed, pasteBegins) > strings.LastIndex(typed, pasteEnds)
}
