package term

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
)

// sequences matches what a terminal obeys instead of showing: CSI (colours, cursor), the string
// commands OSC, DCS, SOS, PM and APC (title, clipboard, links) up to their end, and the short
// escapes, each also in its one-character C1 form. It is compiled when it is first needed: most
// commands show nothing from elsewhere, and would wait for it.
var sequences = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`(?:\x1b\[|\x{9b})[0-?]*[ -/]*[@-~]` +
			`|(?:\x1b[\]PX^_]|[\x{9d}\x{90}\x{98}\x{9e}\x{9f}])[^\x07\x1b\x{9c}]*(?:\x07|\x1b\\|\x{9c})` +
			`|\x1b[ -/]*[0-~]`)
})

// Write passes visible characters, blanks, line breaks, and the colours of Paint. It drops other escape
// sequences, control characters and those that turn the direction of writing: they may come from a file or a
// server. A character and a colour have to come in one Write.
func (s *Stream) Write(p []byte) (int, error) {
	if _, err := io.WriteString(s.w, s.clean(string(p))); err != nil {
		if s.failed == nil {
			s.failed = &WriteError{err}
		}
		return 0, &WriteError{err}
	}
	return len(p), nil
}

// WriteError says why nothing more can be written to a stream.
type WriteError struct{ err error }

// Error is the reason, without the name of the stream.
func (e *WriteError) Error() string {
	var file *fs.PathError
	if errors.As(e.err, &file) {
		return file.Err.Error()
	}
	return e.err.Error()
}

// Unwrap returns the stream's own error.
func (e *WriteError) Unwrap() error { return e.err }

func (s *Stream) clean(text string) string {
	if !strings.ContainsFunc(text, isHidden) {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	var out strings.Builder
	rest := strings.ToValidUTF8(text, "\uFFFD")
	for rest != "" {
		at := sequences().FindStringIndex(rest)
		if at == nil {
			at = []int{len(rest), len(rest)}
		}
		out.WriteString(withoutHidden(rest[:at[0]]))
		if found := rest[at[0]:at[1]]; s.Colour && isPaint(found) {
			out.WriteString(found)
		}
		rest = rest[at[1]:]
	}
	return out.String()
}

// isPaint recognises the sequences that Paint makes.
func isPaint(sequence string) bool {
	return sequence == reset || slices.ContainsFunc([]Colour{Bold, Red, Green, Yellow}, func(c Colour) bool { return c.begin() == sequence })
}

func withoutHidden(text string) string {
	return strings.Map(func(r rune) rune {
		if isHidden(r) {
			return -1
		}
		return r
	}, text)
}

// isHidden excepts a carriage return, which begins a line of progress and ends one of Windows: it
// hides no more than the line that it stands in.
func isHidden(r rune) bool {
	return !unicode.IsPrint(r) && r != '\n' && r != '\t' && r != '\r'
}

// escaped is the same JSON with everything that a terminal would obey written as \u escapes.
func escaped(document string) string {
	if !strings.ContainsFunc(document, isHidden) {
		return document
	}
	var out strings.Builder
	for _, r := range document {
		switch {
		case !isHidden(r):
			out.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

// JSON prints a value as one indented JSON document. What a terminal would obey is escaped,
// which means the same to a reader of JSON.
func (s *Stream) JSON(value any) error {
	document, err := Indented("", value)
	if err != nil {
		return err
	}
	return s.Document(document + "\n")
}

// Indented is a value as JSON on several lines, of which all but the first begin with prefix.
func Indented(prefix string, value any) (string, error) {
	var document strings.Builder
	encoder := json.NewEncoder(&document)
	encoder.SetIndent(prefix, "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(document.String(), "\n"), err
}

// Document prints JSON as it stands, escaped like that of JSON.
func (s *Stream) Document(document string) error {
	_, err := io.WriteString(s, escaped(document))
	return err
}
