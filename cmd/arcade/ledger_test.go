//go:build unix

package main

import (
	"strings"
	"testing"
)

// Two deaths in a row: the first leaves a usage.json whose digest was never stored, the second
// one that is older than the database.
func TestAKilledExportDoesNotBringAnOldIdentityBack(t *testing.T) {
	m := newMachine(t)
	m.env = append(m.env, "ARCADE_USAGE_KEY=") // no flushers
	m.must("succeed")
	m.cloud.meet("ada")
	m.with(testKillAt+"=after-export").runWith("arc_ada\n", m.loginArgs()...)
	if got := m.readFile("usage.json"); !strings.Contains(got, "principal-ada") {
		t.Fatalf("the login was to die after it had written usage.json, which is\n%s", got)
	}
	m.with(testKillAt + "=before-export").run("logout")
	m.must("succeed")
	m.loggedOutEverywhere()
}

func TestAStoppedExportDoesNotBringAnOldIdentityBack(t *testing.T) {
	for _, death := range []string{"", "after-export"} {
		t.Run("which then dies at "+death, func(t *testing.T) {
			m := newMachine(t)
			m.env = append(m.env, "ARCADE_USAGE_KEY=") // no flushers
			m.must("succeed")
			m.cloud.meet("ada")
			cmd := m.with(testKillAt + "=" + death).command(m.loginArgs()...)
			cmd.Stdin = strings.NewReader("arc_ada\n")
			login := m.startStopped("before-export", cmd)
			m.must("logout") // does not wait for ever for the lock that the stopped one holds
			login.resume()
			m.must("succeed")
			m.loggedOutEverywhere()
		})
	}
}

// loggedOutEverywhere checks that the machine's last event is an anonymous one, and that
// usage.json says what the database says.
func (m *machine) loggedOutEverywhere() {
	m.Helper()
	found := m.inspect()
	if found.Identity.LinkedPrincipalID != nil {
		m.Errorf("after a logout the machine is linked to %s again", *found.Identity.LinkedPrincipalID)
	}
	if last := found.Messages[len(found.Messages)-1]; !last.Anonymous {
		m.Errorf("an event after the logout belongs to %v", last.DistinctID)
	}
	m.mirrorAgrees()
}
