package secrets

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
)

const (
	blanks  = " \t"
	maxName = 256 // bytes
)

// envReader goes through the lines of a file.
type envReader struct {
	name    string
	lines   []string
	next    int  // index of the line to read
	behind  int  // index of the line right behind the last entry, 0 for none
	loneCR  bool // some lines end in CR alone
	file    EnvFile
	entries map[string]int // the index of a key's entry
	refused []EnvLine
}

func parseEnv(text, name string) (EnvFile, error) {
	text = strings.ReplaceAll(strings.TrimPrefix(text, byteOrderMark), "\r\n", "\n")
	r := envReader{name: name, loneCR: strings.Contains(text, "\r"), entries: make(map[string]int)}
	r.lines = strings.Split(strings.ReplaceAll(text, "\r", "\n"), "\n")
	for i, line := range r.lines {
		if strings.Contains(line, byteOrderMark) {
			r.refuse(i+1, BOMInside)
		}
	}
	for r.next < len(r.lines) {
		r.line()
	}
	if len(r.refused) > 0 {
		slices.SortStableFunc(r.refused, func(a, b EnvLine) int { return a.Line - b.Line })
		return EnvFile{}, &EnvLinesError{name, r.refused}
	}
	r.file.Files = []string{name}
	r.file.Entries = slices.DeleteFunc(r.file.Entries, func(e Entry) bool {
		empty := strings.TrimSpace(e.Value) == ""
		if empty {
			r.skip(e.Line, e.Key, NothingInIt)
		}
		return empty
	})
	slices.SortStableFunc(r.file.Skipped, func(a, b Skip) int { return a.Line - b.Line })
	return r.file, nil
}

func (r *envReader) refuse(number int, problem *Problem) {
	r.refused = append(r.refused, EnvLine{number, problem})
}

func (r *envReader) skip(number int, key string, reason SkipReason) {
	r.file.Skipped = append(r.file.Skipped, Skip{r.name, number, key, reason})
}

// line reads one line, and further ones that its value spans.
func (r *envReader) line() {
	line := strings.TrimLeft(r.lines[r.next], blanks) // blanks at its end may be in quotes
	r.next++
	number := r.next
	if line == "" || line[0] == '#' || strings.Contains(line, byteOrderMark) { // the last is refused already
		return
	}
	key, rest, found := strings.Cut(line, "=")
	if !found {
		r.withoutEquals(number, line)
		return
	}
	key = nameIn(key)
	value, problem := r.value(rest) // also behind a bad key: its lines are no entries of their own
	if !isName(key) {
		r.refuse(number, KeyNoName)
		return
	}
	if r.behind = r.next; problem != nil {
		r.refuse(number, problem)
	} else {
		r.file.set(Entry{Pair{key, value}, r.name, number}, r.entries)
	}
}

// withoutEquals judges a line that is no entry. Right behind an entry it may be the rest of that value, and so
// may the lines behind it, unless it exports, as files for shells do.
func (r *envReader) withoutEquals(number int, line string) {
	switch {
	case openPEM(line), openJSON(line):
		r.refuse(number, ValueOpen)
	case line[0] == '[':
		r.refuse(number, Section)
	case r.behind == number-1 && r.behind > 0 && !exportsOnly(line):
		r.refuse(number, MoreOfValue)
		r.behind = number
	default:
		r.skip(number, "", NoEquals)
	}
}

// exportsOnly recognises `export KEY...`, by which a shell exports what was set before.
func exportsOnly(line string) bool {
	words := strings.Fields(line)
	for i, word := range words {
		if i > 0 && word[0] == '#' {
			return i > 1
		}
		if (i == 0) != (word == "export") || i > 0 && !isName(word) {
			return false
		}
	}
	return len(words) > 1
}

// nameIn takes blanks and `export` off the text before an =.
func nameIn(text string) string {
	if name, exported := strings.CutPrefix(text, "export"); exported && strings.TrimLeft(name, blanks) != name {
		text = name
	}
	return strings.Trim(text, blanks)
}

// isName reports whether a key is one beyond doubt. Pieces of secrets, in base64 or JSON, are longer or have
// other characters in them.
func isName(key string) bool {
	if key == "" || len(key) > maxName || key[0] == '-' || '0' <= key[0] && key[0] <= '9' {
		return false
	}
	return !strings.ContainsFunc(key, notInName)
}

// value reads a value from the text behind its =.
func (r *envReader) value(rest string) (string, *Problem) {
	text := strings.TrimLeft(rest, blanks)
	switch {
	case text == "", text[0] == '#' && text != rest:
		return "", nil
	case text[0] == '"', text[0] == '\'':
		value, problem := r.quoted(text[0], text[1:])
		if problem == nil && openPEM(value) {
			problem = ValueOpen
		}
		return value, problem
	}
	return unquoted(text)
}

func unquoted(text string) (value string, problem *Problem) {
	for i := 1; i < len(text); i++ {
		if text[i] == '#' && strings.IndexByte(blanks, text[i-1]) >= 0 {
			text = text[:i]
			break
		}
	}
	text = strings.TrimRight(text, blanks)
	switch {
	case openPEM(text), openJSON(text):
		return "", ValueOpen
	case text == `\`, strings.HasSuffix(text, ` \`), strings.HasSuffix(text, "\t\\"):
		return "", Continuation
	case strings.HasPrefix(text, "<<"):
		return "", HereDocument
	case strings.Trim(text, "=") == "":
		return "", Padding
	// Only node dotenv reads a value in backquotes over several lines; for the others it
	// ends here.
	case text[0] == '`' && strings.Count(text, "`") == 1:
		return "", QuoteOpen
	case strings.ContainsFunc(text, isAmbiguousBlank):
		return "", OddBlank
	}
	return text, nil
}

// isAmbiguousBlank reports whether only some programs take r for a blank, or r cannot be seen at all.
func isAmbiguousBlank(r rune) bool {
	return unicode.IsSpace(r) && !strings.ContainsRune(blanks, r) || unicode.Is(unicode.Cf, r)
}

// openPEM reports whether text begins a PEM block and does not end it.
func openPEM(text string) bool {
	return strings.HasPrefix(text, "-----BEGIN") && !strings.Contains(text, "-----END")
}

// openJSON reports whether text begins a JSON object or array and does not end it.
func openJSON(text string) bool {
	if text[0] != '{' && text[0] != '[' {
		return false
	}
	var document json.RawMessage
	return errors.Is(json.NewDecoder(strings.NewReader(text)).Decode(&document), io.ErrUnexpectedEOF)
}

// quoted reads a value from behind its first quote, over the following lines if need be.
func (r *envReader) quoted(quote byte, body string) (string, *Problem) {
	var value strings.Builder
	first := r.next
	for {
		rest, closed, problem := scanQuoted(&value, quote, body)
		switch {
		case problem != nil:
			return "", problem
		case closed && endsEntry(rest):
			if r.loneCR && r.next > first {
				return "", CRInQuotes
			}
			return value.String(), nil
		case closed && r.next > first: // the quote of another entry has closed it
			return "", QuoteOpen
		case closed:
			return "", TextBehind
		case r.next == len(r.lines):
			return "", QuoteOpen
		}
		value.WriteByte('\n')
		body = r.lines[r.next]
		r.next++
	}
}

// scanQuoted adds a line to value up to the closing quote, if there is one, and returns the rest of the line.
func scanQuoted(value *strings.Builder, quote byte, line string) (rest string, closed bool, problem *Problem) {
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == quote:
			return line[i+1:], true, nil
		case line[i] != '\\':
			value.WriteByte(line[i])
		case quote == '"':
			char, known := unescape(line[i+1:])
			if !known {
				return "", false, OddBackslash
			}
			value.WriteByte(char)
			i++
		// Half of the programs take \' for a quote inside the value, half for its end.
		case strings.HasPrefix(line[i+1:], "'"):
			return "", false, OddBackslash
		default:
			value.WriteByte('\\')
		}
	}
	return "", false, nil
}

// unescape is the meaning, between double quotes, of a backslash before text; known is false where programs
// differ.
func unescape(text string) (char byte, known bool) {
	switch {
	case strings.HasPrefix(text, "n"):
		return '\n', true
	case strings.HasPrefix(text, "r"):
		return '\r', true
	case strings.HasPrefix(text, `\"`): // the end of a value for some, a quote in it for others
		return 0, false
	case text != "" && strings.IndexByte(`\"$`, text[0]) >= 0:
		return text[0], true
	}
	return 0, false
}

func endsEntry(rest string) bool {
	rest = strings.TrimLeft(rest, blanks)
	return rest == "" || rest[0] == '#'
}
