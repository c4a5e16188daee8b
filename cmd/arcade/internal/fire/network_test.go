//go:build unix

package fire

import (
	"database/sql"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// flusher runs a background flusher as a command would start it, to its end.
func (m *machine) flusher() {
	m.Helper()
	m.Finish(m.Deliverer())
}

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

func TestTortureNetworkAFlusherEndsWhateverHangs(t *testing.T) {
	t.Parallel() // it mostly waits
	tests := map[string]func(m *machine) (heal func()){
		"Cloud and PostHog": func(m *machine) func() {
			m.Cloud.Meet("ada")
			m.Cloud.Hang(true)
			m.WriteCredentials("arc_ada")
			m.unsent().Must("succeed")
			m.Posthog.SetFault(outboxtest.MustFault("hang"))
			return func() { m.Cloud.Hang(false); m.Posthog.SetFaults() }
		},
		"a database that another program writes to":       func(m *machine) func() { return m.holdTransaction("UPDATE delivery SET failures = failures") },
		"a process that has stopped with the write lock":  func(m *machine) func() { return m.stopAt("after-commit") },
		"a process that has stopped inside a transaction": func(m *machine) func() { return m.stopAt("before-commit") },
	}
	for name, afflict := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.unsent().Must("succeed")
			heal := afflict(m)
			m.flusher()
			m.nothingMadeUp()
			heal()
			m.with(testbed.TestClock + "=2h").Must(flushing...) // past every back-off and Retry-After
			m.arrived(len(m.kept()))
		})
	}
}

// stopAt stops a command there, which dies in the end.
func (m *machine) stopAt(point string) (kill func()) {
	return m.startStopped(point, m.unsent().Command("succeed")).kill
}

// holdTransaction opens the database as another program would, and holds a transaction.
func (m *machine) holdTransaction(statement string) (end func()) {
	m.Helper()
	db, err := sql.Open("sqlite", "file:"+m.Path("usage.db")+"?_busy_timeout=5000&_txlock=deferred")
	if err != nil {
		m.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		m.Fatal(err)
	}
	rows, err := tx.Query(statement)
	if err != nil {
		m.Fatal(err)
	}
	for rows.Next() {
	}
	rows.Close()
	return func() {
		tx.Rollback()
		db.Close()
	}
}
