package track

import (
	"errors"
	"strings"
)

// keyLimit is far beyond any API key, in bytes.
const keyLimit = 4096

// Why a text is no API key, for a person.
var (
	ErrNoKey       = errors.New("there is no key")
	errKeyMark     = errors.New("there is an invisible byte order mark before the key")
	errKeyQuoted   = errors.New("there are quotes around the key")
	errKeyAssigned = errors.New("there is a name and an equals sign before the key")
	errNotAKey     = errors.New("this is not an API key: it is too long, or has a character in it that no key has")
)

// ParseKey reads an API key, from wherever it comes. Blanks and line ends around it do not count. The error
// says in fixed words why it is none.
func ParseKey(text string) (string, error) {
	key := strings.TrimSpace(text)
	switch {
	case key == "":
		return "", ErrNoKey
	case strings.HasPrefix(key, "\ufeff"):
		return "", errKeyMark
	case strings.ContainsAny(key[:1]+key[len(key)-1:], "\"'`"):
		return "", errKeyQuoted
	case isAssignment(key):
		return "", errKeyAssigned
	case len(key) >= keyLimit, strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", errNotAKey
	}
	return key, nil
}

// isAssignment recognises a line of a .env file. A key may end in equals signs (base64).
func isAssignment(key string) bool {
	name, value, found := strings.Cut(key, "=")
	letters := "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"
	return found && strings.Trim(value, "=") != "" && strings.Trim(strings.TrimPrefix(name, "export "), letters+strings.ToLower(letters)) == ""
}

// APIKey is the key in ARCADE_API_KEY, "" for none. The error is that of ParseKey.
func (t *Tracker) APIKey() (string, error) {
	key, err := ParseKey(t.Env("ARCADE_API_KEY"))
	if errors.Is(err, ErrNoKey) {
		return "", nil
	}
	return key, err
}
