package e2e

import (
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Its event needs the database, which another process may hold for long.
func TestASignalLeavesItsEventBesideALockThatIsHeld(t *testing.T) {
	m := unflushed(t)
	m.Must("succeed")
	m.lock("usage.db.lock")
	runs := 0
	quick := func(name string) bool { // the lock is waited for for 5 s otherwise, each time, and the machine may be busy with some
		for range 5 {
			cmd := m.Command(name)
			if runs++; name == "wait" {
				m.underWay(cmd)
			} else {
				m.Require(cmd.Start())
				m.Eventually("it waits", func() bool { return waitsForLock(cmd.Process.Pid) })
			}
			began := time.Now()
			cmd.Process.Signal(os.Interrupt)
			cmd.Wait()
			if time.Since(began) < 4*time.Second {
				return true
			}
		}
		return false
	}
	for _, name := range []string{"wait", "succeed"} { // the second has done its work, and waits to record it
		if !quick(name) {
			t.Errorf("%s never ends within 4 s after Ctrl-C, want at once", name)
		}
	}
	if n := len(m.Inspect().Messages); n != 1+runs {
		t.Errorf("%d events were recorded, want all %d: SQLite has locks of its own", n, 1+runs)
	}
	if missed := m.Status().LastMissed; missed != nil {
		t.Errorf("status says that an event was missed at %s; none was", *missed)
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
	if event := m.Query(`SELECT properties ->> 'command_name' || ' ' || (properties ->> 'error_message') FROM messages`); event != "fill terminated" {
		t.Errorf("the event says %q, want that it was terminated", event)
	}
}
