package secrets

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
)

const (
	shownEnd   = 4  // characters by which a user recognises a value
	hiddenRest = 12 // characters that must stay hidden beside them
)

// escapeSequence matches what a terminal obeys instead of showing: CSI (colours, cursor),
// the string commands OSC, DCS, SOS, PM and APC (title, clipboard, links) up to their end,
// and the short escapes, each also in its one-character C1 form. It is compiled at its first
// use: most commands show nothing from elsewhere, and would wait for it.
var escapeSequence = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`(?:\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]` +
			`|(?:\x1b[\]PX^_]|[\x{9d}\x{90}\x{98}\x{9e}\x{9f}])[^\x07\x1b\x{9c}]*(?:\x07|\x1b\\|\x{9c})` +
			`|\x1b[ -/]*[0-~]`)
})

// Ending returns the last four characters of a value, or "" if fewer than twelve others would
// stay hidden, or if they are unfit for a terminal.
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

// Printable returns text from elsewhere as one harmless line: without terminal escape
// sequences and invisible characters, such as those that turn the direction of writing, with
// blanks for line breaks and other white space, and replacement characters for invalid UTF-8.
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
