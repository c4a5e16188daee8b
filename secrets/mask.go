package secrets

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
)

const (
	shownEnd   = 4  // characters of a value that a user recognises it by
	hiddenRest = 12 // characters that must stay hidden beside them
)

// escapeSequence matches what a terminal obeys instead of showing: CSI (colours, cursor),
// the string commands OSC, DCS, SOS, PM and APC (title, clipboard, links) up to their end,
// and the short escapes, each also in its one-character C1 form. It is compiled when it is first
// needed: most commands show nothing from elsewhere, and would wait for it.
var escapeSequence = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`(?:\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]` +
			`|(?:\x1b[\]PX^_]|[\x{9d}\x{90}\x{98}\x{9e}\x{9f}])[^\x07\x1b\x{9c}]*(?:\x07|\x1b\\|\x{9c})` +
			`|\x1b[ -/]*[0-~]`)
})

// Ending is the last four characters of a value, or "" where showing them would give away
// too much: fewer than twelve others stay hidden, or they are not fit for a terminal.
func Ending(value string) string {
	runes := []rune(value)
	if len(runes) < hiddenRest+shownEnd {
		return ""
	}
	end := string(runes[len(runes)-shownEnd:])
	if Printable(end) != end {
		return ""
	}
	return end
}

// Printable is text from elsewhere as one line that only shows: terminal escape sequences
// and what steers the direction of writing are gone, line breaks and other white space are
// blanks, and bytes that are not UTF-8 are replacement characters.
func Printable(text string) string {
	text = escapeSequence().ReplaceAllString(strings.ToValidUTF8(text, "\uFFFD"), "")
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return -1
	}, text)
}
