//go:build unix

package fire

import (
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// runs runs a command so long after the test's beginning, and waits for its flusher.
func (m *machine) runs(after string) {
	m.Helper()
	m.with(testbed.TestClock + "=" + after).Must("succeed")
	m.AwaitNoFlusher()
}

// A key that was taken back is no reason to keep anything, nor to ask about it all the time.
func TestCredentialsThatCloudRefusesHoldNothingUp(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.runs("0s") // the anon id has spoken, so an alias will wait for its principal
	m.WriteCredentials("arc_revoked")
	for _, after := range []string{"1m", "2m", "30m", "59m"} {
		m.runs(after)
	}
	asked := m.Cloud.Calls()
	if asked != 1 {
		t.Errorf("Cloud was asked %d times about one refused key within the hour, want once", asked)
	}
	if m.runs("62m"); m.Cloud.Calls() != 2 {
		t.Errorf("Cloud was asked %d times after the hour, want once more", m.Cloud.Calls()-asked)
	}
	events := m.Posthog.Events()
	if len(events) != 6 {
		t.Errorf("%d events have arrived, want 6: only the alias waits", len(events))
	}
	for _, e := range events {
		if e.DistinctID != events[0].DistinctID {
			t.Errorf("an event is %s's, want them all as the anon id", e.DistinctID)
		}
	}
	r := m.with(testbed.TestClock+"=63m").Run("usage", "flush")
	if r.Code != 0 || !strings.HasPrefix(r.Stdout, "0 messages delivered") {
		t.Errorf("flush with nothing but a waiting alias: %+v; want exit code 0", r)
	}
	if n := m.Cloud.Calls(); n != 3 {
		t.Errorf("Cloud was asked %d times; want a third time, because a person asked", n)
	}
	m.Cloud.Meet("revoked") // it was an error of Cloud's
	if m.runs("125m"); len(m.Aliases()) != 1 || m.pending() != 0 {
		t.Errorf("%d aliases, %d pending once Cloud knows the key; want what waited to be stitched", len(m.Aliases()), m.pending())
	}
	m.WriteCredentials("arc_another")
	if m.runs("126m"); m.Cloud.Calls() != 5 {
		t.Errorf("Cloud was asked %d times, want once more at once: the file holds another key", m.Cloud.Calls())
	}
	m.NoViolations()
}
