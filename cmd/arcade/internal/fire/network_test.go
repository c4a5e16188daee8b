//go:build unix

package fire

import (
	"testing"

	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// flusher runs a background flusher as a command would start it, to its end.
func (m *machine) flusher() {
	m.Helper()
	m.Finish(m.Deliverer())
}

// A flusher ends within ten seconds, so a command that waited for the network would leave none. A busy machine may need as long for
// one of the commands.
func TestACommandDoesNotWaitForAHangingNetwork(t *testing.T) {
	for range 10 {
		m := newMachine(t)
		m.Cloud.Hang(identitytest.ValidatePath)
		m.WriteCredentials("arc_ada")
		m.Posthog.SetFault(outboxtest.MustFault("hang"))
		if m.Must("succeed"); len(m.Flushers()) > 0 {
			return
		}
	}
	t.Error("each command ended after its flusher, for which PostHog and Cloud hang")
}

func TestTortureNetworkAFlusherEndsWhateverHangs(t *testing.T) {
	t.Parallel() // it mostly waits
	for name, afflict := range map[string]func(m *machine) (heal func()){
		"Cloud and PostHog": func(m *machine) func() {
			m.Meet("ada")
			m.Cloud.Hang(identitytest.ValidatePath)
			m.WriteCredentials("arc_ada")
			m.unsent().Must("succeed")
			m.Posthog.SetFault(outboxtest.MustFault("hang"))
			return func() { m.Cloud.Override(identitytest.ValidatePath, nil); m.Posthog.SetFaults() }
		},
		"a database that another program writes to":       func(m *machine) func() { return m.HoldDatabase() },
		"a process that has stopped with the write lock":  func(m *machine) func() { return m.startStopped("after-commit", succeed).kill },
		"a process that has stopped inside a transaction": func(m *machine) func() { return m.startStopped("before-commit", succeed).kill },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.unsent().Must("succeed")
			heal := afflict(m)
			m.flusher()
			arrived := m.shown()
			for _, message := range m.kept() {
				if message.State == outbox.Delivered && !arrived[message.UUID] {
					t.Errorf("message %d counts as delivered, and PostHog does not have it", message.Seq)
				}
			}
			heal()
			m.arrives(len(m.kept()))
			m.inOrder()
			if dead := m.count(outbox.Dead); dead > 0 {
				t.Errorf("%d messages are dead, want none", dead)
			}
		})
	}
}
