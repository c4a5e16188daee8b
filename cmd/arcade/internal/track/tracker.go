// Package track is the way of a usage event at Arcade: what is recorded of a command, as whom,
// and how it gets out. It keeps usage.json, the file shared with the Python CLI, and reads the
// switches in the environment.
//
// Record is an event's way. Queue is what can be done with events later. Config is what both, and
// the flusher in the background, know of the outbox.
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

	"github.com/google/uuid"

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
	// NewAnon makes an anon id, a random UUID; NewUUID one of a message, ordered by time, which
	// keeps the index small.
	NewAnon, NewUUID func() string
	// Network makes the transport of all connections.
	Network func() http.RoundTripper
	// Start starts a flusher in the background, see outbox.Config; nil for its default.
	Start func(marker string, environment []string) error
	// Debug is told what was recorded, and why something was not, when ARCADE_USAGE_DEBUG is 1.
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
		NewAnon: uuid.NewString,
		NewUUID: func() string { return uuid.Must(uuid.NewV7()).String() },
		Network: func() http.RoundTripper { return httpsend.Transport(nil) },
		Debug:   os.Stderr,
		Point:   func(string) {},
	}
}

// ErrNoHome says that there is no directory to keep files in.
var ErrNoHome = errors.New("no home directory")

// Home is the directory that both of Arcade's CLIs keep their files in.
type Home struct {
	dir string
	// ofWork says that it is in $ARCADE_WORK_DIR, where the Python CLI keeps its login one level
	// higher.
	ofWork bool
}

// Credentials is the file that a login leaves.
func (h Home) Credentials() identity.CredentialsFile {
	file := identity.CredentialsFile{Path: filepath.Join(h.dir, "credentials.yaml")}
	if h.ofWork {
		file.Fallback = filepath.Join(filepath.Dir(h.dir), "credentials.yaml")
	}
	return file
}

func (h Home) mirror() string { return filepath.Join(h.dir, "usage.json") }

func (h Home) database() string { return filepath.Join(h.dir, "usage.db") }

// Home is `.arcade` in $ARCADE_WORK_DIR, or in the home directory. The error can be ErrNoHome.
func (t *Tracker) Home() (Home, error) {
	user := userHome(t.Env)
	base := cmp.Or(unquoted(t.Env("ARCADE_WORK_DIR")), user)
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
	return Home{filepath.Join(abs, ".arcade"), t.Env("ARCADE_WORK_DIR") != ""}, err
}

// debug tells somebody who asked for it.
func (t *Tracker) debug(format string, args ...any) {
	if t.Env("ARCADE_USAGE_DEBUG") == "1" {
		fmt.Fprintf(t.Debug, "usage: "+format+"\n", args...)
	}
}

// ToArcade makes the transport of calls to Arcade Cloud and its Engine, which say who asks as the Python
// CLI's do.
func (t *Tracker) ToArcade() http.RoundTripper { return introduced{t.Version, t.Network()} }

type introduced struct {
	version string
	next    http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (i introduced) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "arcade-cli-go/"+i.version)
	r.Header.Set("X-Arcade-CLI-Version", i.version)
	return i.next.RoundTrip(r)
}
