package detach

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ordinary are the variables that are no secret: where a program finds its user's files, its language, and the race
// detector's, which are read before main. A child has them from its start. XDG_* are ordinary, too.
var ordinary = [...]string{
	"HOME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "TMPDIR", "TMP", "TEMP", "PATH", "USER", "LANG", "GORACE",
}

// split returns the ordinary variables and the others.
func split(environment []string) (own, others []string) {
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "XDG_") || slices.Contains(ordinary[:], name) {
			own = append(own, entry)
		} else {
			others = append(others, entry)
		}
	}
	return own, others
}

// Ordinary returns those of this process's variables that every child is to have.
func Ordinary() []string {
	own, _ := split(os.Environ())
	return own
}

// encode puts a NUL behind each variable, and another behind the last, so that a child sees whether
// its parent came to the end.
func encode(marker string, environment []string) ([]byte, error) {
	var content []byte
	for _, entry := range environment {
		name, _, ok := strings.Cut(entry, "=")
		switch {
		case !ok || name == "" || strings.Contains(entry, "\x00"):
			return nil, fmt.Errorf("the variable %q is not of the form NAME=value", name)
		case name == marker:
			return nil, fmt.Errorf("the variable %q is the child's marker, and cannot be handed over", name)
		}
		content = append(append(content, entry...), 0)
	}
	return append(content, 0), nil
}

func decode(r io.Reader) (environment []string, err error) {
	for buffered := bufio.NewReader(r); ; {
		entry, err := buffered.ReadString(0)
		if err != nil {
			return nil, fmt.Errorf("the environment has no end: %w", err)
		}
		if entry == "\x00" {
			return environment, nil
		}
		environment = append(environment, strings.TrimSuffix(entry, "\x00"))
	}
}

// takeUp sets the process's variables: the standard library reads proxies and certificates from them.
func takeUp(environment []string) error {
	for _, entry := range environment {
		name, value, ok := strings.Cut(entry, "=")
		if !ok {
			return errors.New("the environment is not what Start writes")
		}
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// Resolve returns environment, a list of NAME=value, with its paths made absolute: a child works in another
// directory. Paths are the variables named, those that Go's library reads itself (HOME, USERPROFILE, SSL_CERT_FILE,
// SSL_CERT_DIR), those of the user's directories (APPDATA, LOCALAPPDATA, TMPDIR, TMP, TEMP, XDG_*) and PATH. An empty
// value stays, and so does one that begins with ~, which has its meaning from the program. The only error is a
// relative path without a working directory.
func Resolve(environment []string, names ...string) ([]string, error) {
	names = append([]string{"HOME", "USERPROFILE", "SSL_CERT_FILE", "APPDATA", "LOCALAPPDATA", "TMPDIR", "TMP", "TEMP"}, names...)
	resolved := slices.Clone(environment)
	for i, entry := range resolved {
		name, value, _ := strings.Cut(entry, "=")
		parts := []string{value}
		switch {
		case name == "SSL_CERT_DIR" || name == "PATH" || strings.HasPrefix(name, "XDG_") && strings.HasSuffix(name, "_DIRS"):
			parts = filepath.SplitList(value)
		case strings.HasPrefix(name, "XDG_") && isDirectory(name), slices.Contains(names, name):
		default:
			continue
		}
		for j, path := range parts {
			if path == "" || path[0] == '~' {
				continue
			}
			absolute, err := filepath.Abs(path)
			if err != nil {
				return nil, fmt.Errorf("resolve %s: %w", name, err)
			}
			parts[j] = absolute
		}
		resolved[i] = name + "=" + strings.Join(parts, string(filepath.ListSeparator))
	}
	return resolved, nil
}

// isDirectory tells the directories of the XDG specification from its other variables, such as
// XDG_SESSION_TYPE. https://specifications.freedesktop.org/basedir-spec/latest/
func isDirectory(name string) bool {
	return strings.HasSuffix(name, "_HOME") || strings.HasSuffix(name, "_DIR")
}
