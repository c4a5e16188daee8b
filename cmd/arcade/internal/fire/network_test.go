//go:build unix

package fire

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// offlineEvents leaves a machine with n events, the first of them a command's, and no flusher.
func offlineEvents(t testing.TB, n int) *machine {
	m := newMachine(t)
	m.with("ARCADE_USAGE_KEY=").Must("succeed")
	m.recordInBulk(n-1, 0)
	return m
}

// flusher runs a background flusher as a command would start it, to its end, which has to come
// within ten seconds of its own. Starting and leaving takes a busy machine time, too.
func (m *machine) flusher() {
	m.Helper()
	if r := m.Finish(m.Deliverer()); r.Took > 30*time.Second {
		m.Errorf("the flusher took %s, it has 10 s", r.Took)
	}
}

// later is the same machine two hours ahead, past every back-off and Retry-After.
func (m *machine) later() *machine { return m.with(testbed.TestClock + "=2h") }

// nothingMadeUp checks that what counts as delivered here is what PostHog has kept.
func (m *machine) nothingMadeUp() {
	m.Helper()
	kept := map[string]bool{}
	for _, c := range m.Posthog.Commits() {
		kept[c.UUID] = true
	}
	for _, message := range m.kept() {
		if message.State == outbox.Delivered && !kept[message.UUID] {
			m.Errorf("message %d counts as delivered, and PostHog does not have it", message.Seq)
		}
	}
}

// arrived checks that n events have arrived, each once, in order, and that nothing is left.
func (m *machine) arrived(n int) {
	m.Helper()
	if pending, dead := m.count(outbox.Pending), m.count(outbox.Dead); pending+dead != 0 {
		m.Errorf("%d messages are pending and %d dead, want none of either", pending, dead)
	}
	if got := len(m.Posthog.Events()); got != n {
		m.Errorf("%d events have arrived, want %d", got, n)
	}
	m.inOrder()
	if doubled := m.doubled(); len(doubled) > 0 {
		m.Errorf("PostHog shows twice: %v", doubled)
	}
	m.NoViolations()
}

func (m *machine) attempts() (n int) {
	m.Helper()
	if _, err := fmt.Sscan(m.Query(`SELECT sum(attempts) FROM messages`), &n); err != nil {
		m.Fatal(err)
	}
	return n
}

func TestTortureNetworkAFlusherEndsWhateverHangs(t *testing.T) {
	t.Parallel() // it mostly waits
	tests := map[string]func(m *machine) (heal func()){
		"Cloud and PostHog": func(m *machine) func() {
			m.Cloud.Meet("ada")
			m.Cloud.Hang(true)
			m.WriteCredentials("arc_ada")
			m.with("ARCADE_USAGE_KEY=").Must("succeed")
			m.Posthog.SetFault(outboxtest.MustFault("hang"))
			return func() { m.Cloud.Hang(false); m.Posthog.SetFaults() }
		},
		"a slow PostHog before a long backlog": func(m *machine) func() {
			m.recordInBulk(28, 100_000) // four in a request
			m.Posthog.SetLatency(2 * time.Second)
			return func() { m.Posthog.SetLatency(0) }
		},
		"an answer that never comes before a long backlog": func(m *machine) func() {
			m.recordInBulk(28, 100_000)
			m.Posthog.SetFault(outboxtest.MustFault("commit+hang"))
			return func() { m.Posthog.SetFaults() }
		},
		"a database that another program writes to":       func(m *machine) func() { return m.holdTransaction("UPDATE delivery SET failures = failures") },
		"a process that has stopped with the write lock":  func(m *machine) func() { return m.stopAt("after-commit") },
		"a process that has stopped inside a transaction": func(m *machine) func() { return m.stopAt("before-commit") },
	}
	names := slices.Sorted(maps.Keys(tests))
	atOnce(len(names), len(names), func(i int) {
		t.Run(names[i], func(t *testing.T) {
			m := offlineEvents(t, 1)
			heal := tests[names[i]](m)
			m.flusher()
			m.nothingMadeUp()
			heal()
			m.later().Must("usage", "flush", "--timeout", "60s")
			m.arrived(len(m.kept()))
		})
	})
}

// stopAt stops a command there, which dies in the end.
func (m *machine) stopAt(point string) (kill func()) {
	offline := m.with("ARCADE_USAGE_KEY=")
	return offline.startStopped(point, offline.Command("succeed")).kill
}
