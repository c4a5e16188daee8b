package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"
)

// ReadEnvFile reads the .env file at path, at most 1 MB. A value means what node dotenv, python-dotenv, godotenv
// and Docker Compose make of it; where they differ the majority counts, or the line is refused
// (docs/secrets.md has the table):
//
//	KEY=value # comment      value: a comment starts at the first # after a blank
//	KEY=value# no comment    value# no comment
//	KEY='as it is'           nothing is special between single quotes
//	KEY="two\nlines"         \n and \r are line breaks; \\ \" \$ are the second character
//	KEY="two                 quotes may span lines
//	lines"
//	export KEY=value         export is ignored
//
// A $ is a $ everywhere. Line ends may be LF, CRLF or CR; a byte order mark at the start is ignored. Lines
// without =, empty values and values that are set again are skipped. A line without = right behind an entry, a
// backslash behind a value and a << before one are refused: a value without quotes goes on there.
//
// The errors are [EnvMissing] and its like, wrapped, and [*EnvLinesError]. One refused line shows that the file is not what it was
// taken for, so nothing of it may be sent.
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
