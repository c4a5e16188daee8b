package track_test

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// atHome returns a tracker in an empty home, and the directory of its files. Env may change later.
func atHome(t *testing.T, env map[string]string) (tracker *track.Tracker, directory string) {
	t.Helper()
	home := t.TempDir()
	directory = filepath.Join(home, ".arcade")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	tracker = track.New("1.0.0", "")
	tracker.Start = func(string, []string) error { return nil }
	tracker.Env = func(name string) string {
		if name == track.HomeVariable {
			return home
		}
		return env[name]
	}
	return tracker, directory
}

func queueOf(t *testing.T, tracker *track.Tracker) *track.Queue {
	t.Helper()
	q, err := tracker.Queue()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

// write replaces a file, whatever its mode.
func write(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	_ = os.Remove(path)
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
}

// A home that is linked to Ada. Her account is believed to be the command's only while nothing says that it may not be:
// a file that cannot be read may be another user's, or name an installation whose events are the anonymous id's.
func TestALinkedHomesEventIsTheAccountsUnlessTheLoginCannotBeRead(t *testing.T) {
	const login, ada, anonymous = "cloud:\n  auth: {access_token: t}\n  user: {email: ada@example.com}\n", "principal-ada", "the anon id"
	tests := map[string]struct {
		file string // "" for none
		mode os.FileMode
		env  map[string]string
		want string
	}{
		"with its login": {login, 0o600, nil, ada},
		"without a login, since only a logout ends a link": {"", 0, nil, ada},
		"with a damaged login":                             {"[", 0o600, nil, anonymous},
		"with a login that others could have written":      {login, 0o644, nil, anonymous},
		"with a context that there is not":                 {login, 0o600, map[string]string{"ARCADE_CONTEXT": "nowhere"}, anonymous},
		"with a key beside a damaged login":                {"[", 0o600, map[string]string{"ARCADE_API_KEY": "arc_x"}, anonymous},
		"with a key that is none":                          {login, 0o600, map[string]string{"ARCADE_API_KEY": "'arc_x'"}, anonymous},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.mode == 0o644 && runtime.GOOS == "windows" {
				t.Skip("Windows has no modes")
			}
			env := map[string]string{}
			tracker, directory := atHome(t, env)
			file := identity.CredentialsFile{Path: filepath.Join(directory, "credentials.yaml")}
			write(t, file.Path, []byte(login), 0o600)
			hers, err := file.Read()
			if err != nil {
				t.Fatal(err)
			}
			link := identity.Login{Credential: hers.Fingerprint(), Principal: ada}
			tracker.Record(context.Background(), track.Command{Name: "login", Ended: time.Now(), UsesLogin: true, Change: link})
			if write(t, file.Path, []byte(test.file), test.mode); test.file == "" {
				_ = os.Remove(file.Path)
			}
			maps.Copy(env, test.env)

			tracker.Record(context.Background(), track.Command{Name: "secret.list", Ended: time.Now()})

			s, err := queueOf(t, tracker).Snapshot(context.Background(), outbox.Filter{Limit: 1})
			if err != nil || s.PrincipalID != ada || s.Counts.Pending < 2 {
				t.Fatalf("%d messages, the home linked to %q (%v): want it linked to Ada as before", s.Counts.Pending, s.PrincipalID, err)
			}
			got := s.Messages[0].DistinctID
			if got == s.AnonID {
				got = anonymous
			}
			if got != test.want {
				t.Errorf("the event is %q's, want %q's", got, test.want)
			}
		})
	}
}

// ofAnEarlierVersion is a queue whose database has three messages that wait and four receipts.
func ofAnEarlierVersion(t *testing.T, env map[string]string) *track.Queue {
	t.Helper()
	content, err := os.ReadFile("../../../../outbox/testdata/schema1.db")
	if err != nil {
		t.Fatal(err)
	}
	tracker, directory := atHome(t, env)
	write(t, filepath.Join(directory, "usage.db"), content, 0o600)
	return queueOf(t, tracker)
}

// A command right after an update would otherwise read that nothing waits, and end.
func TestWhatWaitsIsShownBeforeAnyCommandOfTheNewVersionHasRecorded(t *testing.T) {
	s, err := ofAnEarlierVersion(t, nil).Snapshot(context.Background(), outbox.Filter{})
	if err != nil || s.Counts.Pending != 3 || len(s.Messages) != 7 || s.AnonID == "" {
		t.Errorf("%d pending of %d messages, id %q, error %v: want 3 of 7 and this home's id",
			s.Counts.Pending, len(s.Messages), s.AnonID, err)
	}
}

// "There is nothing to erase" must be true whatever switched tracking off.
func TestWithTrackingOffADatabaseOfAnEarlierVersionStaysUntouchedUntilItIsErased(t *testing.T) {
	q := ofAnEarlierVersion(t, map[string]string{"ARCADE_USAGE_TRACKING": "0"})
	before, err := os.ReadFile(q.Path())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Snapshot(context.Background(), outbox.Filter{}); err != nil {
		t.Errorf("looking fails with %v", err)
	}
	if after, err := os.ReadFile(q.Path()); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the database was written to while tracking was off (%v)", err)
	}
	s, err := q.Erasable(context.Background())
	if err != nil || s.Counts.Pending != 3 {
		t.Errorf("%d messages wait to be erased, error %v: want 3", s.Counts.Pending, err)
	}
	if erased, _, err := q.Clear(context.Background()); err != nil || erased != 3 {
		t.Errorf("%d erased, error %v: want 3", erased, err)
	}
}
