package detach

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kind is what a variable holds.
type kind int

const (
	text kind = iota
	path
	pathList
)

// know says what a variable holds, and whether it is ordinary: no secret, and read before main, such as where a program
// finds its user's files, its language, and the race detector's. A child has the ordinary ones from its start.
func know(variable string) (holds kind, ordinary bool) {
	switch variable {
	case "HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "TMPDIR", "TMP", "TEMP":
		return path, true
	case "PATH":
		return pathList, true
	case "HOMEDRIVE", "HOMEPATH", "USER", "LANG", "GORACE":
		return text, true
	case "SSL_CERT_FILE":
		return path, false
	case "SSL_CERT_DIR":
		return pathList, false
	}
	// https://specifications.freedesktop.org/basedir-spec/latest/ has directories. There are others, such as
	// XDG_SESSION_TYPE.
	switch name, isXDG := strings.CutPrefix(variable, "XDG_"); {
	case isXDG && strings.HasSuffix(name, "_DIRS"):
		return pathList, true
	case isXDG && (strings.HasSuffix(name, "_HOME") || strings.HasSuffix(name, "_DIR")):
		return path, true
	default:
		return text, isXDG
	}
}

// split returns the ordinary variables and the others.
func split(environment []string) (own, others []string) {
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		if _, ordinary := know(name); ordinary {
			own = append(own, entry)
		} else {
			others = append(others, entry)
		}
	}
	return own, others
}

// Ordinary returns those of this process's variables that every child is to have: HOME, USERPROFILE, HOMEDRIVE, HOMEPATH,
// APPDATA, LOCALAPPDATA, TMPDIR, TMP, TEMP, PATH, USER, LANG, GORACE and XDG_*. So os.UserConfigDir and its like give the
// same directory there.
func Ordinary() []string {
	own, _ := split(os.Environ())
	return own
}

// Resolve returns environment, a list of NAME=value, with its paths made absolute: a child works in another
// directory. Paths are the variables named, those of the user's directories (HOME, APPDATA, TMPDIR, XDG_* and the
// like), SSL_CERT_FILE, SSL_CERT_DIR and PATH. An empty value stays, and so does one that begins with ~, which has its
// meaning from the program. The only error is a relative path without a working directory.
func Resolve(environment []string, names ...string) ([]string, error) {
	resolved := slices.Clone(environment)
	for i, entry := range resolved {
		name, value, _ := strings.Cut(entry, "=")
		holds, _ := know(name)
		parts := []string{value}
		switch {
		case holds == pathList:
			parts = filepath.SplitList(value)
		case holds == text && !slices.Contains(names, name):
			continue
		}
		for j, part := range parts {
			if part == "" || part[0] == '~' {
				continue
			}
			absolute, err := filepath.Abs(part)
			if err != nil {
				return nil, fmt.Errorf("resolve %s: %w", name, err)
			}
			parts[j] = absolute
		}
		resolved[i] = name + "=" + strings.Join(parts, string(filepath.ListSeparator))
	}
	return resolved, nil
}

// encode is what goes through the pipe: a JSON object, so that a child sees whether its parent came to the end. A value may
// have any bytes, and so is base64 in it.
func encode(marker string, environment []string) ([]byte, error) {
	values := map[string][]byte{}
	for _, entry := range environment {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || name == "" || name == marker || strings.Contains(entry, "\x00") {
			return nil, fmt.Errorf("the variable %q is the child's marker or not of the form NAME=value, and cannot be handed over", name)
		}
		values[name] = []byte(value)
	}
	return json.Marshal(values)
}

// takeUp sets the process's variables to those that come through the pipe: the standard library reads proxies
// and certificates from them.
func takeUp(pipe io.Reader) error {
	var values map[string][]byte
	if err := json.NewDecoder(pipe).Decode(&values); err != nil {
		return err
	}
	for name, value := range values {
		if err := os.Setenv(name, string(value)); err != nil {
			return err
		}
	}
	return nil
}
