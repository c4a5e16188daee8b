package track_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// A home that is linked to Ada. Her account is believed to be the command's only while nothing says that it may not be:
// a file that cannot be read may be another user's, or name an installation whose events are the anonymous id's.
func TestALinkedHomesEventIsTheAccountsUnlessTheLoginCannotBeRead(t *testing.T) {
	const login, ada, anonymous = "cloud:\n  auth: {access_token: t}\n  user: {email: ada@example.com}\n", "principal-ada", "the anon id"
	tests := map[string]struct {
		file string
		mode os.FileMode // 0 for no file
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
			home, env := t.TempDir(), map[string]string(nil)
			tracker := track.New("1.0.0", "")
			tracker.Start = func(string, []string) error { return nil }
			tracker.Env = func(name string) string {
				if name == track.HomeVariable {
					return home
				}
				return env[name]
			}
			directory := filepath.Join(home, ".arcade")
			file := identity.CredentialsFile{Path: filepath.Join(directory, "credentials.yaml")}
			write := func(content string, mode os.FileMode) {
				err := errors.Join(
					os.RemoveAll(file.Path), os.MkdirAll(directory, 0o700), os.WriteFile(file.Path, []byte(content), mode), os.Chmod(file.Path, mode),
				)
				if err != nil {
					t.Fatal(err)
				}
			}
			write(login, 0o600)
			hers, err := file.Read()
			if err != nil {
				t.Fatal(err)
			}
			link := identity.Login{Credential: hers.Fingerprint(), Principal: ada}
			tracker.Record(context.Background(), track.Command{Name: "login", Ended: time.Now(), UsesLogin: true, Change: link})
			if write(test.file, test.mode); test.mode == 0 {
				err = os.Remove(file.Path)
			}
			if env = test.env; err != nil {
				t.Fatal(err)
			}

			tracker.Record(context.Background(), track.Command{Name: "secret.list", Ended: time.Now()})

			q, err := tracker.Queue()
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			s, err := q.Snapshot(context.Background(), outbox.Filter{Limit: 1})
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
