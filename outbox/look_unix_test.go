//go:build unix

package outbox_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A command that asks whether a flusher is running touches its lock for a moment. A command that
// does so must not turn away the flusher that another command has just started.
func TestALookAtTheFlushersLockTurnsNoFlusherAway(t *testing.T) {
	b := newBench(t, 1)
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

func TestALinkInALockFilesPlaceIsReplaced(t *testing.T) {
	for _, suffix := range []string{".lock", ".flusher.lock"} {
		for name, theirs := range map[string]string{"to a file": "other", "that leads nowhere": "gone/away"} {
			t.Run(suffix+" "+name, func(t *testing.T) {
				b := newBench(t, 0)
				other := filepath.Join(filepath.Dir(b.path), "other")
				target := filepath.Join(filepath.Dir(b.path), theirs)
				if err := errors.Join(os.WriteFile(other, []byte("theirs"), 0o444), os.Symlink(target, b.path+suffix)); err != nil {
					t.Fatal(err)
				}
				b.addEvents(1)
				b.mustFlush()
				if info, err := os.Lstat(b.path + suffix); err != nil || !info.Mode().IsRegular() {
					t.Errorf("there is %v (%v), want a file in the link's place", info, err)
				}
				if content, err := os.ReadFile(other); err != nil || string(content) != "theirs" {
					t.Errorf("the other file holds %q (%v), want it untouched", content, err)
				}
			})
		}
	}
}
