// Package track records Arcade's usage events: what a command leaves, under whose id, and how it is delivered. It
// keeps usage.json, the file shared with the Python CLI, and reads the switches in the environment.
//
// Record records a command. Queue is what can be done with events later. Config is the outbox's configuration, for
// both and for the flusher in the background.
package track

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
)

// Tracker records the commands of one program. The fields from Env on are New's, and for tests to
// set.
type Tracker struct {
	// Version is the program's, Key the PostHog project's that it was released with, "" for none.
	Version, Key string
	// Env reads the environment, Now the clock.
	Env func(name string) string
	Now func() time.Time
	// Network makes the transport of all connections.
	Network func() http.RoundTripper
	// Start starts a flusher in the background, see outbox.Config; nil for its default.
	Start func(marker string, environment []string) error
	// Debug gets what was recorded, or why nothing was, when ARCADE_USAGE_DEBUG is 1.
	Debug io.Writer
	// Point is called at named points, where a test stops or kills the process.
	Point func(name string)
}

// New makes a tracker of this process.
func New(version, key string) *Tracker {
	return &Tracker{
		Version: version, Key: key,
		Env:     os.Getenv,
		Now:     time.Now,
		Network: func() http.RoundTripper { return httpsend.Transport(nil) },
		Debug:   os.Stderr,
		Point:   func(string) {},
	}
}

// ErrNoHome means that there is no directory to keep files in.
var ErrNoHome = errors.New("no home directory")

// Home is the directory that both of Arcade's CLIs keep their files in.
type Home struct {
	dir string
	// Credentials is the file with the logins, of which ARCADE_CONTEXT chooses one.
	Credentials identity.CredentialsFile
}

func (h Home) mirror() string { return filepath.Join(h.dir, "usage.json") }

func (h Home) database() string { return filepath.Join(h.dir, "usage.db") }

// Home is `.arcade` in the home directory. In $ARCADE_WORK_DIR it is `.arcade`, too, but the Python CLI
// takes that directory itself: a login is used where Python left it, and if Python was the first, its
// directory is ours. The error can be ErrNoHome.
func (t *Tracker) Home() (Home, error) {
	user, work := userHome(t.Env), unquoted(t.Env("ARCADE_WORK_DIR"))
	base := cmp.Or(work, user)
	if base == "~" || len(base) > 1 && base[0] == '~' && os.IsPathSeparator(base[1]) {
		if user == "" {
			return Home{}, ErrNoHome
		}
		base = filepath.Join(user, base[1:])
	}
	if base == "" {
		return Home{}, ErrNoHome
	}
	abs, err := filepath.Abs(base)
	home := Home{dir: filepath.Join(abs, ".arcade")}
	home.Credentials = identity.CredentialsFile{
		Path: filepath.Join(home.dir, "credentials.yaml"), Context: t.Env("ARCADE_CONTEXT"), Point: t.Point,
	}
	if work == "" || err != nil {
		return home, err
	}
	home.Credentials.Named, home.Credentials.Shared = true, filepath.Join(abs, "credentials.yaml")
	if !exists(home.dir) && (home.Credentials.InShared() || exists(filepath.Join(abs, "usage.db"))) {
		home.dir = abs
		home.Credentials.Path, home.Credentials.Shared = home.Credentials.Shared, ""
	}
	return home, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (t *Tracker) debug(format string, args ...any) {
	if t.Env("ARCADE_USAGE_DEBUG") == "1" {
		fmt.Fprintf(t.Debug, "usage: "+format+"\n", args...)
	}
}

// ToArcade makes the transport of calls to Arcade Cloud and its Engine. As the Python CLI's, they name the program.
func (t *Tracker) ToArcade() http.RoundTripper { return withUserAgent{t.Version, t.Network()} }

type withUserAgent struct {
	version string
	next    http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (w withUserAgent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "arcade-cli-go/"+w.version)
	r.Header.Set("X-Arcade-CLI-Version", w.version)
	return w.next.RoundTrip(r)
}
