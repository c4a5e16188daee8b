package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	blanks  = " \t"
	maxName = 256 // bytes
)

// ReadEnvFiles reads .env files in turn, at most 1 MB each; "-" is stdin. A file that is given twice is read at its
// last place. The last value of a key counts. docs/secrets.md has the dialect: it takes what other readers understand
// in the same way, leaves every $ as it is, and refuses what they read differently.
//
// The errors are [EnvMissing] and its like, wrapped, and [*EnvLinesError]. One refused line shows that its file
// is not what it was taken for, so nothing of any may be sent. Beside a [*NothingToSetError] the plan has the
// lines that are skipped.
func ReadEnvFiles(paths []string, stdin io.Reader) (Plan, error) {
	var files []Plan
	var names []string
	for i, path := range paths {
		if slices.ContainsFunc(paths[i+1:], func(later string) bool { return isSameFile(path, later) }) {
			continue
		}
		name := path
		if path == "-" {
			name = standardInput
		}
		text, problem := readEnvFile(path, stdin)
		if problem != nil {
			return nil, fmt.Errorf("cannot use '%s': %w", Printable(name), problem)
		}
		plan, refused := parseEnv(text)
		if len(refused) > 0 {
			return nil, &EnvLinesError{name, refused}
		}
		for line := range plan {
			plan[line].File = name
		}
		files, names = append(files, plan), append(names, name)
	}
	skip(files)
	plan := slices.Concat(files...)
	if len(plan.Pairs()) == 0 {
		return plan, &NothingToSetError{names}
	}
	return plan, nil
}

// isSameFile reports whether two paths lead to one file, also through links.
func isSameFile(path, other string) bool {
	one, _ := os.Stat(path) // nil, which equals no file, if there is none
	another, _ := os.Stat(other)
	return path != "-" && other != "-" && os.SameFile(one, another)
}

func readEnvFile(path string, stdin io.Reader) (string, *Problem) {
	if path != "-" {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return "", EnvMissing
		}
		if err != nil {
			return "", EnvUnreadable
		}
		defer f.Close()
		// A pipe is fine, as in --env-file <(decrypt).
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return "", EnvDirectory
		}
		stdin = f
	}
	data, err := io.ReadAll(io.LimitReader(stdin, maxText+1))
	switch {
	case err != nil:
		return "", EnvUnreadable
	case len(data) > maxText:
		return "", EnvTooLarge
	// A zero byte is most likely UTF-16 without its mark.
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return "", EnvNotText
	}
	return string(data), nil
}

// envReader reads the lines of a file.
type envReader struct {
	lines []string
	next  int // index of the line to read, and the number of the line before it
	// afterEntry is the index of the line right after the last entry, 0 for none.
	afterEntry int
	plan       Plan
	refused    []Entry
}

func parseEnv(text string) (plan Plan, refused []Entry) {
	text = strings.ReplaceAll(strings.TrimPrefix(text, byteOrderMark), "\r\n", "\n")
	r := envReader{lines: strings.Split(text, "\n")}
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
			r.entry(r.take())
		}
	}
	return r.plan, r.refused
}

func (r *envReader) refuse(number int, problem *Problem) {
	r.refused = append(r.refused, Entry{Line: number, Problem: problem})
}

func (r *envReader) take() string {
	r.next++
	return r.lines[r.next-1]
}

// entry reads what begins in a line. A value may span further ones.
func (r *envReader) entry(line string) {
	number := r.next
	line = strings.TrimLeft(line, blanks) // blanks at its end may be in quotes
	if line == "" || line[0] == '#' {
		return
	}
	name, rest, found := strings.Cut(line, "=")
	if !found {
		r.withoutEquals(number, line)
		return
	}
	name = strings.Trim(withoutExport(name), blanks)
	value, problem := r.value(rest) // also after a bad key: the value's lines are not entries of their own
	switch {
	case !isName(name):
		r.refuse(number, KeyNoName)
		return
	case problem != nil:
		r.refuse(number, problem)
	case isOpenPEM(value):
		r.refuse(number, ValueOpen)
	default:
		r.plan = append(r.plan, Entry{Pair: Pair{name, value}, Line: number})
	}
	r.afterEntry = r.next
}

// withoutEquals judges a line without =. Right after an entry it may be the rest of that value, and so
// may the lines after it, unless it is an export, as in files for shells.
func (r *envReader) withoutEquals(number int, line string) {
	switch {
	case isOpenPEM(line), isOpenJSON(line):
		r.refuse(number, ValueOpen)
	case line[0] == '[':
		r.refuse(number, Section)
	case 0 < r.afterEntry && r.afterEntry == number-1 && withoutExport(line) == line:
		r.refuse(number, MoreOfValue)
		r.afterEntry = number
	default:
		r.plan = append(r.plan, Entry{Line: number, Problem: NoEquals})
	}
}

// withoutExport removes a shell's `export` and the blank after it.
func withoutExport(text string) string {
	rest, found := strings.CutPrefix(text, "export")
	if found && rest != "" && strings.IndexByte(blanks, rest[0]) >= 0 {
		return rest[1:]
	}
	return text
}

// isName reports whether a key is beyond doubt a name. Pieces of secrets, in base64 or JSON, are longer or contain
// other characters.
func isName(key string) bool {
	if key == "" || len(key) > maxName || key[0] == '-' || '0' <= key[0] && key[0] <= '9' {
		return false
	}
	return !strings.ContainsFunc(key, notInName)
}

// value reads a value from the text after its =.
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
	text, _, _ = strings.Cut(text, " #") // a comment begins after a blank
	text, _, _ = strings.Cut(text, "\t#")
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
	// ends with this one.
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

// quoted reads a value after its opening quote, over the following lines if need be.
func (r *envReader) quoted(quote byte, text string) (string, *Problem) {
	first := r.next
	var value strings.Builder
	for {
		if text == "" {
			if r.next == len(r.lines) {
				return "", QuoteOpen
			}
			value.WriteByte('\n')
			text = r.take()
			continue
		}
		char, after := text[0], text[1:]
		switch {
		case char == quote:
			rest := strings.TrimLeft(after, blanks)
			switch {
			case rest == "", rest[0] == '#':
				return value.String(), nil
			case r.next == first:
				return "", TextBehind
			}
			return "", QuoteOpen // the quote of another entry has closed it
		case char == '\\' && quote == '"':
			if char = unescape(after); char == 0 {
				return "", OddBackslash
			}
			after = after[1:]
		// Half of the programs take \' for a quote inside the value, half for its end.
		case char == '\\' && strings.HasPrefix(after, "'"):
			return "", OddBackslash
		}
		value.WriteByte(char)
		text = after
	}
}

// unescape returns what a backslash before text means in double quotes, 0 where programs differ.
func unescape(text string) byte {
	if text == "" || strings.HasPrefix(text, `\"`) { // the end of a value for some, a quote in it for others
		return 0
	}
	return map[byte]byte{'n': '\n', 'r': '\r', '\\': '\\', '"': '"', '$': '$'}[text[0]]
}
