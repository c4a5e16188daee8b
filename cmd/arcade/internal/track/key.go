package track

import (
	"errors"
	"strings"

	"github.com/ArcadeAI/arcade-cli/identity"
)

// keyLimit is far beyond any API key, in bytes.
const keyLimit = 4096

// Why a text is not an API key, in words for the user.
var (
	ErrNoKey       = errors.New("there is no key")
	errKeyMark     = errors.New("there is an invisible byte order mark before the key")
	errKeyQuoted   = errors.New("there are quotes around the key")
	errKeyAssigned = errors.New("there is a name and an equals sign before the key")
	errNotAKey     = errors.New("this is not an API key: it is too long, or has a character in it that no key has")
)

// ParseKey reads an API key from any source. Blanks and line ends around it do not count. The error's words are
// fixed.
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

// UnusableKeyError says why the key in ARCADE_API_KEY cannot be used.
type UnusableKeyError struct{ err error }

func (e *UnusableKeyError) Error() string {
	return "the key in ARCADE_API_KEY cannot be used: " + e.err.Error()
}

// apiKey is the key in ARCADE_API_KEY, "" for none. The error is an UnusableKeyError.
func (t *Tracker) apiKey() (string, error) {
	key, err := ParseKey(t.Env("ARCADE_API_KEY"))
	if err != nil && !errors.Is(err, ErrNoKey) {
		return "", &UnusableKeyError{err}
	}
	return key, nil
}

// Credential is the credential that a command uses, from the environment or the login file; without a home, from the
// environment alone. The errors are ErrNoHome, an UnusableKeyError, and those of the file's Using. A key that cannot
// be used does not give way to the login, and its owner is unknown.
func (t *Tracker) Credential() (identity.Using, error) {
	address := t.Env("ARCADE_URL")
	key, err := t.apiKey()
	if err != nil && (address != "" || t.Env("ARCADE_CONTEXT") == "") {
		return identity.Using{Apart: true}, err
	}
	home, err := t.Home()
	if err != nil && key == "" {
		return identity.Using{}, err
	}
	return home.Credentials.Using(address, key)
}

// KeyInForce is the key in the environment, if commands use it that are not about the login. Apart says that Arcade
// Cloud must not be asked about it. The error is why the key cannot be used: an UnusableKeyError, or
// identity.ErrNoEngine for a bad address.
func (t *Tracker) KeyInForce() (key identity.Credentials, apart bool, err error) {
	if key, err := t.apiKey(); key == "" && err == nil { // the file is not read for nothing
		return identity.Credentials{}, false, nil
	}
	used, err := t.Credential()
	if used.FromFile {
		return identity.Credentials{}, false, nil
	}
	return used.Login, used.Apart, err
}

// ContextName is the name of the context that commands use, "" if the file has only one, lacks it, or cannot be read.
// ARCADE_URL with ARCADE_API_KEY is a context, too.
func (t *Tracker) ContextName() string {
	if key, _, err := t.KeyInForce(); err == nil && key.Name != "" {
		return key.Name
	}
	home, err := t.Home()
	if err != nil {
		return ""
	}
	logins, _ := home.Credentials.Logins()
	if len(logins.Contexts) < 2 {
		return ""
	}
	login, _ := home.Credentials.Read()
	return login.Name
}

// used is what a command used, or could have used, of the credentials.
type used struct {
	file identity.Credentials
	key  string // the fingerprint of the environment's, "" when it was not used
	// apart: they belong to a self-hosted installation, or cannot be used. The event's owner is unknown then, and
	// not taken to be the account that this home is linked to.
	apart bool
}

// uses reads what a command uses: the login if login is true, even with a key in the environment.
func (t *Tracker) uses(home Home, login bool) used {
	file, _ := home.Credentials.Using("", "")
	u := used{file: file.Login, apart: file.Apart}
	if key, apart, _ := t.KeyInForce(); !login && (key.Present() || apart) {
		u.key, u.apart = key.Fingerprint(), apart
	}
	return u
}
