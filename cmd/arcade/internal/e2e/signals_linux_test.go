package e2e

import (
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Its event needs the database, which another process may hold for long: SQLite has locks of its own.
func TestASignalLeavesItsEventBesideALockThatIsHeld(t *testing.T) {
	t.Parallel()
	m := unflushed(t)
	m.Must("succeed")
	m.lock("usage.db.lock")
	cmd := m.Command("succeed") // has done its work, and waits to record it
	m.Require(cmd.Start())
	m.Eventually("it waits, or has gone on without the lock", func() bool {
		return waitsForLock(cmd.Process.Pid) || m.Query(`SELECT count(*) FROM messages`) == "2"
	})
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	cmd = m.underWay(m.Command("wait"))
	cmd.Process.Signal(os.Interrupt)
	m.endsWith(cmd, 130)
	if n := len(m.Inspect().Messages); n != 3 || m.Status().LastMissed != nil {
		t.Errorf("%d events were recorded, or status says that one was missed; want all three, and none missed", n)
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
