package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/joho/godotenv"
)

// EnvFile is what a .env file holds.
type EnvFile struct {
	// Pairs are in the order in which their keys first appear. Of a key that is set twice
	// the last value counts, as in a shell.
	Pairs []Pair
	// Skipped are the numbers, from 1, of lines that are neither blank nor a comment and
	// yet no secret: without =, without a usable key or without a value.
	Skipped []int
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

// ReadEnvFile reads the .env file at path, at most 1 MB. Its errors are of type
// [*EnvFileError]. A value means what its author most likely meant:
//
//	KEY=value # comment      value: a comment starts at the first # after a blank
//	KEY=value# no comment    value# no comment
//	KEY='as it is'           nothing is special between single quotes
//	KEY="two\nlines"         \n and \r are line breaks; \\ \" \$ \! and \` are the
//	                         character after the backslash; any other backslash stays
//	KEY="two                 quotes may span lines, up to the first one that ends its line
//	lines"                   (blanks and a comment may follow it), single ones too
//	KEY={"a": "b # c"}       all of it: no comment starts inside a quoted word
//	KEY="open                "open
//	KEY="a" b                "a" b: quotes that do not surround the value are part of it
//	export KEY=value         export is ignored
//
// A $ is a $ everywhere. Line ends may be LF, CRLF or CR; a byte order mark is ignored.
func ReadEnvFile(path string) (EnvFile, error) {
	text, problem := readText(path)
	if problem != "" {
		return EnvFile{}, &EnvFileError{Path: path, Problem: problem}
	}
	return parseEnv(text), nil
}

// readText does not ask for a regular file: a pipe, as in --env-file <(decrypt), is welcome.
func readText(path string) (string, EnvProblem) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", EnvMissing
	}
	if err != nil {
		return "", EnvUnreadable
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return "", EnvDirectory
	}
	data, err := io.ReadAll(io.LimitReader(f, maxText+1))
	switch {
	case err != nil:
		return "", EnvUnreadable
	case len(data) > maxText:
		return "", EnvTooLarge
	// A zero byte is no text either: most likely this is UTF-16 without its mark. The
	// stand-ins of quoting.go rely on it.
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return "", EnvNotText
	}
	return string(data), ""
}

// parseEnv finds the entries of a text without zero bytes and has godotenv read each.
func parseEnv(text string) EnvFile {
	text = strings.TrimPrefix(text, "\uFEFF")
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	var file EnvFile
	index := make(map[string]int)
	for n := 0; n < len(lines); {
		line, number := strings.TrimSpace(lines[n]), n+1
		n++
		if line == "" || line[0] == '#' {
			continue
		}
		key, rest, found := splitEntry(lines[number-1])
		entry, more := prepare(rest, lines[n:])
		n += more // also of an entry with a bad key: its lines are no entries of their own
		values, err := godotenv.Unmarshal("V=" + entry)
		value := shown.Replace(values["V"])
		if !found || !validKey(key) || err != nil || strings.TrimSpace(value) == "" {
			file.Skipped = append(file.Skipped, number)
			continue
		}
		at, again := index[key]
		if !again {
			at = len(file.Pairs)
			index[key] = at
			file.Pairs = append(file.Pairs, Pair{Key: key})
		}
		file.Pairs[at].Value = value
	}
	return file
}

// splitEntry takes a line apart at its first =; found is false without one or without a key.
func splitEntry(line string) (key, rest string, found bool) {
	key, rest, found = strings.Cut(line, "=")
	key = strings.TrimSpace(key)
	if name, exported := strings.CutPrefix(key, "export"); exported && strings.TrimLeft(name, blanks) != name {
		key = strings.TrimSpace(name)
	}
	return key, rest, found && key != ""
}
