package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	blanks  = " \t"
	maxName = 256 // bytes
)

// ReadEnvFile reads the .env file at path, at most 1 MB. docs/secrets.md has the dialect: what other readers
// understand in the same way, a $ that is a $ everywhere, and a refusal of what they read differently.
//
// The errors are [EnvMissing] and its like, wrapped, and [*EnvLinesError]. One refused line shows that the file
// is not what it was taken for, so nothing of it may be sent.
func ReadEnvFile(path string) (EnvFile, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return EnvFile{}, unusable(path, EnvMissing)
	}
	if err != nil {
		return EnvFile{}, unusable(path, EnvUnreadable)
	}
	defer f.Close()
	// A pipe is fine, as in --env-file <(decrypt).
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return EnvFile{}, unusable(path, EnvDirectory)
	}
	return ReadEnv(f, path)
}

// ReadEnv is [ReadEnvFile] for an open file or a pipe, called name in errors.
func ReadEnv(r io.Reader, name string) (EnvFile, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxText+1))
	switch {
	case err != nil:
		return EnvFile{}, unusable(name, EnvUnreadable)
	case len(data) > maxText:
		return EnvFile{}, unusable(name, EnvTooLarge)
	// A zero byte is most likely UTF-16 without its mark.
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return EnvFile{}, unusable(name, EnvNotText)
	}
	return parseEnv(string(data), name)
}

func unusable(name string, problem *Problem) error {
	return fmt.Errorf("cannot use '%s': %w", Printable(name), problem)
}

// envReader goes through the lines of a file.
type envReader struct {
	name    string
	lines   []string
	next    int // index of the line to read
	behind  int // index of the line right behind the last entry, 0 for none
	plan    []Planned
	refused []EnvLine
}

func parseEnv(text, name string) (EnvFile, error) {
	text = strings.ReplaceAll(strings.TrimPrefix(text, byteOrderMark), "\r\n", "\n")
	r := envReader{name: name, lines: strings.Split(text, "\n")}
	for i, line := range r.lines {
		switch {
		case strings.Contains(line, byteOrderMark):
			r.refuse(i+1, BOMInside)
		case strings.Contains(line, "\r"):
			r.refuse(i+1, LoneCR)
		}
	}
	if len(r.refused) == 0 {
		for r.next < len(r.lines) {
			r.line()
		}
	}
	if len(r.refused) > 0 {
		return EnvFile{}, &EnvLinesError{name, r.refused}
	}
	skipRepeated(r.plan)
	for i, line := range r.plan {
		if line.Skipped == "" && strings.TrimSpace(line.Value) == "" {
			r.plan[i].Skipped = NothingInIt
		}
	}
	return EnvFile{Files: []string{name}, Plan: r.plan}, nil
}

func (r *envReader) refuse(number int, problem *Problem) {
	r.refused = append(r.refused, EnvLine{number, problem})
}

// line reads one line, and further ones that its value spans.
func (r *envReader) line() {
	line := strings.TrimLeft(r.lines[r.next], blanks) // blanks at its end may be in quotes
	r.next++
	number := r.next
	if line == "" || line[0] == '#' {
		return
	}
	name, rest, found := strings.Cut(line, "=")
	if !found {
		r.withoutEquals(number, line)
		return
	}
	name = strings.Trim(withoutExport(name), blanks)
	value, problem := r.value(rest) // also behind a bad key: its lines are no entries of their own
	switch {
	case !isName(name):
		r.refuse(number, KeyNoName)
		return
	case problem != nil:
		r.refuse(number, problem)
	case isOpenPEM(value):
		r.refuse(number, ValueOpen)
	default:
		r.plan = append(r.plan, Planned{Pair: Pair{name, value}, File: r.name, Line: number})
	}
	r.behind = r.next
}

// withoutEquals judges a line that is no entry. Right behind an entry it may be the rest of that value, and so
// may the lines behind it, unless it exports, as files for shells do.
func (r *envReader) withoutEquals(number int, line string) {
	switch {
	case isOpenPEM(line), isOpenJSON(line):
		r.refuse(number, ValueOpen)
	case line[0] == '[':
		r.refuse(number, Section)
	case r.behind == number-1 && r.behind > 0 && withoutExport(line) == line:
		r.refuse(number, MoreOfValue)
		r.behind = number
	default:
		r.plan = append(r.plan, Planned{File: r.name, Line: number, Skipped: NoEquals})
	}
}

// withoutExport takes a shell's `export` and the blank behind it off the text.
func withoutExport(text string) string {
	rest, found := strings.CutPrefix(text, "export")
	if found && rest != "" && strings.IndexByte(blanks, rest[0]) >= 0 {
		return rest[1:]
	}
	return text
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
		return r.quoted(text[0], text[1:])
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
	case isOpenJSON(text):
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

// isOpenPEM reports whether text begins a PEM block and does not end it.
func isOpenPEM(text string) bool {
	return strings.HasPrefix(text, "-----BEGIN") && !strings.Contains(text, "-----END")
}

// isOpenJSON reports whether text begins a JSON object or array and does not end it.
func isOpenJSON(text string) bool {
	if text[0] != '{' && text[0] != '[' {
		return false
	}
	var document json.RawMessage
	return errors.Is(json.NewDecoder(strings.NewReader(text)).Decode(&document), io.ErrUnexpectedEOF)
}

// quoted reads a value from behind its first quote, over the following lines if need be.
func (r *envReader) quoted(quote byte, line string) (string, *Problem) {
	var value strings.Builder
	first := r.next
	for {
		rest, closed, problem := scanQuoted(&value, quote, line)
		rest = strings.TrimLeft(rest, blanks)
		switch {
		case problem != nil:
			return "", problem
		case closed && (rest == "" || rest[0] == '#'):
			return value.String(), nil
		case closed && r.next == first:
			return "", TextBehind
		case closed, r.next == len(r.lines): // the quote of another entry has closed it, or none
			return "", QuoteOpen
		}
		value.WriteByte('\n')
		line = r.lines[r.next]
		r.next++
	}
}

// scanQuoted adds a line to value up to the closing quote, if there is one, and returns the rest of the line.
func scanQuoted(value *strings.Builder, quote byte, line string) (rest string, closed bool, problem *Problem) {
	for i := 0; i < len(line); i++ {
		switch behind := line[i+1:]; {
		case line[i] == quote:
			return behind, true, nil
		case line[i] == '\\' && quote == '"':
			char := unescape(behind)
			if char == 0 {
				return "", false, OddBackslash
			}
			value.WriteByte(char)
			i++
		// Half of the programs take \' for a quote inside the value, half for its end.
		case line[i] == '\\' && strings.HasPrefix(behind, "'"):
			return "", false, OddBackslash
		default:
			value.WriteByte(line[i])
		}
	}
	return "", false, nil
}

// unescape is the meaning, between double quotes, of a backslash before text, 0 where programs differ.
func unescape(text string) byte {
	if text == "" || strings.HasPrefix(text, `\"`) { // the end of a value for some, a quote in it for others
		return 0
	}
	return map[byte]byte{'n': '\n', 'r': '\r', '\\': '\\', '"': '"', '$': '$'}[text[0]]
}
