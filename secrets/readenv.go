package secrets

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"unicode/utf8"
)

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
	file.Files = []string{name}
	for i := range file.Entries {
		file.Entries[i].File = name
	}
	for i := range file.Skipped {
		file.Skipped[i].File = name
	}
	return file, nil
}
