//go:build linux

package fire

import (
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// prompt is how long a flusher may take to leave when it is told to: far less than a request or
// a wait may take, and enough for a busy machine.
const prompt = 4 * time.Second

// startFlusher starts a flusher in the foreground of the test, so that it can be sent signals.
func (m *machine) startFlusher() *exec.Cmd {
	m.Helper()
	cmd := m.Deliverer()
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { cmd.Process.Kill() })
	return cmd
}

// leaves tells it to leave and waits until it has.
func (m *machine) leaves(cmd *exec.Cmd) {
	m.Helper()
	start := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		m.Fatal(err)
	}
	cmd.Wait() // its exit code says only that something is left
	if took := time.Since(start); took > prompt {
		m.Errorf("it took %s to leave, want it at once", took)
	}
}

func (m *machine) awaitPoint(cmd *exec.Cmd, point string) {
	m.Helper()
	m.Eventually("the flusher is "+point, func() bool {
		return slices.ContainsFunc(m.trace(), func(l traceLine) bool { return l.pid == cmd.Process.Pid && l.what == point })
	})
}

func TestTortureAFlusherThatIsToldToLeaveSettlesWhatItKnows(t *testing.T) {
	t.Run("in a request: nothing is known, and nobody failed", func(t *testing.T) {
		m := newMachine(t)
		m.unsent().Must("succeed")
		pause := m.Posthog.PauseNext(outboxtest.AfterRead)
		defer pause.Release()
		flusher := m.startFlusher()
		<-pause.Reached()
		m.leaves(flusher)
		if st := m.Status(); st.Pending != 1 || st.Failures != 0 || st.NextAttempt != nil {
			t.Errorf("%d pending, %d failures, next attempt %v; want the event to wait for nothing", st.Pending, st.Failures, st.NextAttempt)
		}
		if m.Query(`SELECT attempts FROM messages`) != "0" {
			t.Error("it counts as an attempt")
		}
		pause.Release()
		m.arrives(1)
	})
	t.Run("after the answer: it is written down", func(t *testing.T) {
		m := newMachine(t)
		m.unsent().Must("succeed")
		flusher := m.startStoppedFlusher("answered")
		if err := flusher.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		flusher.resume()
		if st := m.Status(); st.Pending != 0 || st.Delivered != 1 {
			t.Errorf("%d pending, %d delivered; want the answer settled, or the event is sent twice", st.Pending, st.Delivered)
		}
	})
	t.Run("in a wait for a back-off", func(t *testing.T) {
		m := newMachine(t).traced()
		m.Offline()
		m.unsent().Must("succeed")
		m.Run("usage", "flush")
		flusher := m.startFlusher()
		m.awaitPoint(flusher, "waiting")
		m.leaves(flusher)
		if st := m.Status(); st.Pending != 1 || st.Failures != 1 {
			t.Errorf("%d pending, %d failures; want all as it was", st.Pending, st.Failures)
		}
	})
	t.Run("while it asks Arcade Cloud: whose the event is stays open", func(t *testing.T) {
		m := newMachine(t)
		m.Cloud.Meet("ada")
		m.Cloud.Hang(true)
		m.WriteCredentials("arc_ada")
		m.unsent().Must("succeed")
		flusher := m.startFlusher()
		m.Eventually("Arcade Cloud is asked", func() bool { return m.Cloud.Calls() > 0 })
		m.leaves(flusher)
		if n := m.Query(`SELECT count(*) FROM messages WHERE distinct_id IS NULL AND kind = 'capture'`); n != "1" {
			t.Errorf("%s events are undecided, want 1: Cloud has not been given its time", n)
		}
		m.Cloud.Hang(false)
		m.arrives(1)
		if owner := m.Posthog.Events()[0].DistinctID; owner != "principal-ada" {
			t.Errorf("the event is %s's, want principal-ada's", owner)
		}
	})
}
