//go:build linux

package fire

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// PostHog would see an anon id that is aliased to both: they were one person for ever.
func TestACopiedHomeIsTwoMachinesAndTwoPeople(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.unsent().Must("succeed")
	if m.Query(`SELECT count(*) FROM machines`) == "0" {
		t.Skip("this system has no id of its machine: a copy of a home cannot be told from it")
	}
	anon := m.anonID()
	twin := m.with()
	twin.Home = filepath.Join(t.TempDir(), "home")
	m.Require(os.CopyFS(twin.Home, os.DirFS(m.Home)))
	twin.Change(`UPDATE machines SET mark = 'salt:another'`)
	for person, home := range map[string]*machine{"ada": m, "bob": twin} {
		if r := home.logsIn(person); r.Code != 0 {
			t.Fatalf("login: %+v", r)
		}
		home.AwaitNoFlusher()
	}
	if got := twin.anonID(); got == anon {
		t.Errorf("the copy goes on as %s, whom the other machine has given to somebody", anon)
	}
	m.arrives(4)
	twin.arrives(4)
	events := slices.DeleteFunc(m.Posthog.Events(), outboxtest.Commit.IsAlias)
	if len(events) != 3 {
		t.Errorf("%d events have arrived, want the one that both had, once, and two logins", len(events))
	}
}

func TestAFlusherWhoseHomeIsRemovedMakesNothing(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"flushing", "claimed", "before-request", "answered", "settled", "housekeeping", "before-shrink"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.unsent().Must("succeed")
			flusher := m.startStopped(point, func(m *machine) *exec.Cmd { return m.Deliverer() })
			for range 3 { // rm -rf, again if SQLite made a file meanwhile, which it does when it has just opened the database
				if err := os.RemoveAll(m.Home); err == nil {
					break
				}
			}
			flusher.resume()
			if _, err := os.Lstat(m.Home); err == nil {
				entries, _ := os.ReadDir(m.Path(""))
				t.Errorf("the home has come back with %v: its flusher made what it should only find", entries)
			}
		})
	}
}
