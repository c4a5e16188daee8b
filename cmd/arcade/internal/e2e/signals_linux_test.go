package e2e

import (
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Its event needs the database, which another process may hold for long: without the signal it waits 5 s. A machine that is busy for
// most of them gets another try, in a new home: after a wait in vain the next one is short.
func TestASignalLeavesItsEventBesideALockThatIsHeld(t *testing.T) {
	t.Parallel()
	isQuick := false
	for try := 0; try < 5 && !isQuick; try++ {
		m := unflushed(t)
		m.Must("succeed")
		m.lock("usage.db.lock")
		cmd := m.Command("succeed") // has done its work, and waits to record it
		m.Require(cmd.Start())
		waits := false
		m.Eventually("it waits, or has gone on without the lock", func() bool {
			waits = waitsForLock(cmd.Process.Pid)
			return waits || m.Query(`SELECT count(*) FROM messages`) == "2"
		})
		began := time.Now()
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		isQuick = waits && time.Since(began) < 4*time.Second
		cmd = m.underWay(m.Command("wait"))
		cmd.Process.Signal(os.Interrupt)
		m.endsWith(cmd, 130)
		if n := len(m.Inspect().Messages); n != 3 {
			t.Errorf("%d events were recorded, want all three: SQLite has locks of its own", n)
		}
		if missed := m.Status().LastMissed; missed != nil {
			t.Errorf("status says that an event was missed at %s; none was", *missed)
		}
	}
	if !isQuick {
		t.Error("it never ended within 4 s after Ctrl-C, want at once")
	}
}

// A write to a pipe that is full does not know that the command was told to end.
func TestASignalEndsACommandThatNobodyReads(t *testing.T) {
	m := unflushed(t)
	_, writer := m.pipe()
	cmd := m.Command("fill")
	cmd.Stdout, cmd.Stderr = writer, writer
	m.Require(cmd.Start())
	m.Eventually("the pipe is full", func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(writer.Fd()), Events: unix.POLLOUT}}, 0)
		return n == 0 && err == nil
	})
	cmd.Process.Signal(syscall.SIGTERM)
	m.endsWith(cmd, 143)
	if said := m.Query(`SELECT properties ->> 'error_message' FROM messages`); said != "terminated" {
		t.Errorf("the event says %q, want that it was terminated", said)
	}
}
