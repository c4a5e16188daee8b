//go:build linux

package fire

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// copied returns another machine with a copy of this one's home, at the same PostHog and Cloud.
func (m *machine) copied() *machine {
	m.Helper()
	home := filepath.Join(m.TempDir(), "home")
	if err := os.CopyFS(home, os.DirFS(m.Home)); err != nil {
		m.Fatal(err)
	}
	twin := *m.Machine
	twin.Home = home
	return &machine{&twin}
}

// eachIDIsOnePersons checks that no anon id was aliased to two people.
func (m *machine) eachIDIsOnePersons() {
	m.Helper()
	person := map[string]string{}
	for _, c := range m.Posthog.Events() {
		if !c.IsAlias() {
			continue
		}
		anon := c.Properties()["alias"].(string)
		if before := person[anon]; before != "" && before != c.DistinctID {
			m.Errorf("%s was aliased to %s and to %s, who are one for ever now", anon, before, c.DistinctID)
		}
		person[anon] = c.DistinctID
	}
	m.NoViolations()
}

func (m *machine) becomes(person string) {
	m.Helper()
	m.Cloud.Meet(person)
	if r := m.RunWith("arc_"+person+"\n", m.loginArgs()...); r.Code != 0 {
		m.Fatalf("login: %+v", r)
	}
	m.AwaitNoFlusher()
}

func TestACopiedHomeIsTwoMachinesAndTwoPeople(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.unsent().Must("succeed")
	if m.Query(`SELECT count(*) FROM machines`) == "0" {
		t.Skip("this system has no id of its machine: a copy of a home cannot be told from it")
	}
	anon := m.Query(`SELECT anon_id FROM identities WHERE retired_at IS NULL`)
	twin := m.copied()
	twin.does(changing(`UPDATE machines SET mark = 'salt:another'`))
	m.becomes("ada")
	twin.becomes("bob")
	if got := twin.Query(`SELECT anon_id FROM identities WHERE retired_at IS NULL`); got == anon {
		t.Errorf("the copy goes on as %s, whom the other machine has given to somebody", anon)
	}
	m.Must(flushing...)
	twin.Must(flushing...)
	m.eachIDIsOnePersons()
	events := m.Posthog.Events()
	if n := len(slices.DeleteFunc(events, func(c outboxtest.Commit) bool { return c.IsAlias() })); n != 3 {
		t.Errorf("%d events have arrived, want the one that both had, once, and two logins", n)
	}
}

func TestAFlusherWhoseHomeIsRemovedMakesNothing(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"flushing", "claimed", "before-request", "answered", "settled", "housekeeping", "before-shrink"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.unsent().Must("succeed")
			traced := m.with(testbed.TestTrace+"="+m.tracePath(), testbed.TestStopAt+"="+point)
			flusher := m.startStopping(point, traced.Deliverer())
			m.removeHome()
			flusher.resume()
			m.isRemoved("while a flusher was at " + point)
		})
	}
}

// removeHome is `rm -rf`, again if somebody made a file meanwhile, which SQLite does when it has
// just opened the database.
func (m *machine) removeHome() {
	m.Helper()
	err := os.RemoveAll(m.Home)
	for range 2 {
		if err != nil {
			err = os.RemoveAll(m.Home)
		}
	}
	if err != nil {
		m.Errorf("rm -rf of a home: %v", err)
	}
}

func (m *machine) isRemoved(when string) {
	m.Helper()
	if _, err := os.Lstat(m.Home); err == nil {
		entries, _ := os.ReadDir(m.Path(""))
		m.Errorf("the home, removed %s, has come back with %v: its flusher made what it should only find", when, entries)
	}
}
