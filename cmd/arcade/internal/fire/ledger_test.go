//go:build unix

package fire

import (
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// Two deaths in a row: the first leaves a usage.json whose digest was never stored, the second
// one that is older than the database.
func TestAKilledExportDoesNotBringAnOldIdentityBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, "ARCADE_USAGE_KEY=") // no flushers
	m.Must("succeed")
	m.Cloud.Meet("ada")
	m.with(testbed.TestKillAt+"=after-export").RunWith("arc_ada\n", m.loginArgs()...)
	if got := m.ReadFile("usage.json"); !strings.Contains(got, "principal-ada") {
		t.Fatalf("the login was to die after it had written usage.json, which is\n%s", got)
	}
	m.with(testbed.TestKillAt + "=before-export").Run("logout")
	m.Must("succeed")
	m.loggedOutEverywhere()
}

// loggedOutEverywhere checks that the machine's last event is an anonymous one, and that
// usage.json says what the database says.
func (m *machine) loggedOutEverywhere() {
	m.Helper()
	found := m.Inspect()
	if found.Identity.LinkedPrincipalID != nil {
		m.Errorf("after a logout the machine is linked to %s again", *found.Identity.LinkedPrincipalID)
	}
	if last := found.Messages[len(found.Messages)-1]; !last.Anonymous {
		m.Errorf("an event after the logout belongs to %v", last.DistinctID)
	}
	m.mirrorAgrees()
}
