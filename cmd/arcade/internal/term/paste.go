package term

import (
	"io"
	"strings"
)

// promptLimit is the length, in bytes, at which Linux silently cuts a line that is typed
// or pasted (its N_TTY buffer has 4096 with the line break).
const promptLimit = 4095

// Bracketed paste: a terminal that is asked to marks where a paste begins and ends.
// https://invisible-island.net/xterm/xterm-paste64.html
const (
	bracketsOn, bracketsOff = "\x1b[?2004h", "\x1b[?2004l"
	pasteBegins, pasteEnds  = "\x1b[200~", "\x1b[201~"
)

// bracketPastes makes a terminal mark pastes, or stop. The sequence is ours, so it is not cleaned.
func (s *Stream) bracketPastes(sequence string) {
	if s.Rewrites {
		_, _ = io.WriteString(s.w, sequence) // if it fails, so does the question
	}
}

// isPasteOpen reports whether a paste has begun and not ended.
func isPasteOpen(typed string) bool {
	return strings.LastIndex(typed, pasteBegins) > strings.LastIndex(typed, pasteEnds)
}
