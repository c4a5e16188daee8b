package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// EnvFile is what a .env file holds.
type EnvFile struct {
	// Entries are in the order in which their keys first appear. Of a key that is set twice
	// the last value counts, as in a shell.
	Entries []Entry
	// Skipped are the lines that hold no secret to send, in the order of the file.
	Skipped []Skip
}

// Entry is one secret of a .env file.
type Entry struct {
	Pair
	Line int // where it begins, from 1
}

// Pairs are the entries' keys and values, in order.
func (f EnvFile) Pairs() []Pair {
	pairs := make([]Pair, len(f.Entries))
	for i, entry := range f.Entries {
		pairs[i] = entry.Pair
	}
	return pairs
}

// EnvProblem is why a .env file cannot be used, in fixed words that say what to do.
type EnvProblem string

// What an [EnvFileError] can complain about.
const (
	EnvMissing    EnvProblem = "there is no such file; name one with --env-file"
	EnvDirectory  EnvProblem = "it is a directory; name the file in it with --env-file"
	EnvUnreadable EnvProblem = "it cannot be read; check its permissions"
	EnvNotText    EnvProblem = "it is not UTF-8 text; save it as UTF-8"
	EnvTooLarge   EnvProblem = "it is larger than 1 MB; name a file with nothing but secrets in it"
)

// EnvFileError says that a .env file cannot be used.
type EnvFileError struct {
	Path    string
	Problem EnvProblem
}

func (e *EnvFileError) Error() string {
	return fmt.Sprintf("cannot use '%s': %s", Printable(e.Path), e.Problem)
}

// LineProblem is what is wrong with a line of a .env file, in fixed words that say what to do.
type LineProblem string

// What an [EnvLine] can be wrong about.
const (
	KeyNoName    LineProblem = "a key that is no name; a key has at most 256 letters, digits, _, - and ., starts with none of 0-9 and -, and ends at the ="
	QuoteOpen    LineProblem = "a quote that is never closed; close it, or take the quote for a part of the value by putting the other quotes around it"
	TextBehind   LineProblem = "text behind a closing quote; put one pair of quotes around the whole value"
	ValueOpen    LineProblem = "a value that has only begun; put quotes around all its lines, or pipe it in: arcade secret set KEY=- < file"
	Section      LineProblem = "a [ before all else, as in INI, TOML and shell files; put the secrets that you mean into a .env file, which has no sections"
	Padding      LineProblem = "nothing but = behind a key, as at the end of base64 text; put it in quotes if it is the value"
	OddBackslash LineProblem = "a backslash that programs read differently; in double quotes write only \\n, \\r, \\\\, \\\" and \\$, or leave the quotes away"
	OddBlank     LineProblem = "an invisible character or a blank that is none; type the line anew, or put the value in quotes if it belongs there"
	BOMInside    LineProblem = "a byte order mark, as between two files that were joined; remove it, or name the files one after the other"
	CRInQuotes   LineProblem = "a line break that programs read differently; save the file with LF or CRLF line ends"
)

// EnvLine is a line that shows that a file is not what it was taken for.
type EnvLine struct {
	Line    int // from 1
	Problem LineProblem
}

// EnvLinesError says that a file is refused because of some of its lines. It holds nothing of
// their text.
type EnvLinesError struct {
	Path  string
	Lines []EnvLine // in the order of the file, at least one
}

// maxNamed is how many lines an error names for each problem.
const maxNamed = 5

func (e *EnvLinesError) Error() string {
	var found []LineProblem
	lines := make(map[LineProblem][]int)
	for _, line := range e.Lines {
		if lines[line.Problem] == nil {
			found = append(found, line.Problem)
		}
		lines[line.Problem] = append(lines[line.Problem], line.Line)
	}
	parts := make([]string, len(found))
	for i, problem := range found {
		what, _, _ := strings.Cut(string(problem), "; ")
		verb := " has "
		if len(lines[problem]) > 1 {
			verb = " have "
		}
		parts[i] = numbered(lines[problem]) + verb + what
	}
	_, advice, _ := strings.Cut(string(found[0]), "; ")
	return fmt.Sprintf("'%s' is refused and nothing is sent: %s; %s", Printable(e.Path), strings.Join(parts, ", "), advice)
}

// numbered names lines by their numbers, the first few of many.
func numbered(lines []int) string {
	words := make([]string, min(len(lines), maxNamed))
	for i := range words {
		words[i] = strconv.Itoa(lines[i])
	}
	text := "line "
	if len(lines) > 1 {
		text = "lines "
	}
	text += strings.Join(words, ", ")
	if more := len(lines) - len(words); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// ReadEnvFile reads the .env file at path, at most 1 MB; [ParseEnv] says how. Its errors are
// [*EnvFileError] and [*EnvLinesError].
func ReadEnvFile(path string) (EnvFile, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return EnvFile{}, &EnvFileError{path, EnvMissing}
	}
	if err != nil {
		return EnvFile{}, &EnvFileError{path, EnvUnreadable}
	}
	defer f.Close()
	// Not only regular files: a pipe, as in --env-file <(decrypt), is welcome.
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return EnvFile{}, &EnvFileError{path, EnvDirectory}
	}
	return ReadEnv(f, path)
}

// ReadEnv is [ReadEnvFile] for an open file or a pipe, which errors call name.
func ReadEnv(r io.Reader, name string) (EnvFile, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxText+1))
	switch {
	case err != nil:
		return EnvFile{}, &EnvFileError{name, EnvUnreadable}
	case len(data) > maxText:
		return EnvFile{}, &EnvFileError{name, EnvTooLarge}
	// A zero byte is no text either: most likely this is UTF-16 without its mark.
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return EnvFile{}, &EnvFileError{name, EnvNotText}
	}
	file, refused := ParseEnv(string(data))
	if len(refused) > 0 {
		slices.SortStableFunc(refused, func(a, b EnvLine) int { return a.Line - b.Line })
		return EnvFile{}, &EnvLinesError{name, refused}
	}
	return file, nil
}
