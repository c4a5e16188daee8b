//go:build unix

package outbox_test

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// Whoever asks whether a flusher is running touches its lock for a moment. A command that
// does so must not turn away the flusher that another command has just started.
func TestALookAtTheFlushersLockTurnsNoFlusherAway(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	look, err := os.OpenFile(b.path+".flusher.lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(look.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(5*time.Millisecond, func() { look.Close() })
	b.mustFlush() // ErrBusy is what it would get
}
