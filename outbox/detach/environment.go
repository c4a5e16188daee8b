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

// takeUp sets the process's variables, because the standard library reads proxies and certificates
// from there.
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

// Resolve returns environment, a list of NAME=value, with the paths in it made absolute: a child works
// in another directory, where a relative one would lead elsewhere. Paths are the variables named and
// those that Go's library reads itself: HOME, USERPROFILE, SSL_CERT_FILE, and SSL_CERT_DIR, which is a
// list. An empty value stays, and so does one that begins with ~, for it is the program that gives the
// ~ a meaning. The only error is that of a relative path when the working directory cannot be told.
func Resolve(environment []string, names ...string) ([]string, error) {
	names = append([]string{"HOME", "USERPROFILE", "SSL_CERT_FILE"}, names...)
	resolved := slices.Clone(environment)
	for i, entry := range resolved {
		name, value, _ := strings.Cut(entry, "=")
		parts := []string{value}
		if name == "SSL_CERT_DIR" {
			parts = filepath.SplitList(value)
		} else if !slices.Contains(names, name) {
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
