package term

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Write passes visible characters, blanks, line breaks, and the colours of Paint. It drops all other control
// characters, which begin escape sequences, and those that turn the direction of writing: text may come from a
// file or a server. A Write must not end within a character or a colour.
func (s *Stream) Write(p []byte) (int, error) {
	if _, err := io.WriteString(s.w, s.clean(string(p))); err != nil {
		s.failed = cmp.Or[error](s.failed, &WriteError{err})
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
	text = strings.ToValidUTF8(text, "\uFFFD")
	if !strings.ContainsFunc(text, isHidden) {
		return text
	}
	var out strings.Builder
	for i, part := range strings.Split(text, "\x1b") {
		if i > 0 && s.Colour && isPaint(part) {
			out.WriteByte('\x1b')
		}
		for _, r := range part {
			if !isHidden(r) {
				out.WriteRune(r)
			}
		}
	}
	return out.String()
}

// isPaint recognises, behind its escape character, a sequence that Paint makes.
func isPaint(text string) bool {
	return slices.ContainsFunc([]Colour{reset, Bold, Red, Green, Yellow}, func(c Colour) bool {
		return strings.HasPrefix("\x1b"+text, c.sequence())
	})
}

// isHidden reports a character that a terminal may obey. A carriage return passes: progress begins with one,
// lines of Windows end with one, and it hides no more than its own line.
func isHidden(r rune) bool {
	return !unicode.IsPrint(r) && r != '\n' && r != '\t' && r != '\r'
}

// JSON prints a value as one indented JSON document.
func (s *Stream) JSON(value any) error {
	document, err := Indented("", value)
	if err != nil {
		return err
	}
	return s.Document(document + "\n")
}

// Indented is a value as JSON on several lines. Each line after the first begins with prefix.
func Indented(prefix string, value any) (string, error) {
	var document strings.Builder
	encoder := json.NewEncoder(&document)
	encoder.SetIndent(prefix, "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(document.String(), "\n"), err
}

// Document prints a JSON document. Characters that a terminal may obey are escaped, which JSON readers undo.
func (s *Stream) Document(document string) error {
	var out strings.Builder
	for _, r := range document {
		if !isHidden(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	_, err := io.WriteString(s, out.String())
	return err
}
