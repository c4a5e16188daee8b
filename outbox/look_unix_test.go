//go:build unix

package outbox_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A command that asks whether a flusher is running touches its lock for a moment. A command that
// does so must not turn away the flusher that another command has just started.
func TestALookAtTheFlushersLockTurnsNoFlusherAway(t *testing.T) {
	b := newBench(t, 1)
	look, err := os.OpenFile(b.path+".flusher.lock", os.O_RDWR|os.O_CREATE, 0o600)
	b.must(err)
	b.must(syscall.Flock(int(look.Fd()), syscall.LOCK_SH))
	time.AfterFunc(5*time.Millisecond, func() { look.Close() })
	_, err = b.box.DeliverAndLinger(t.Context())
	b.must(err) // ErrBusy is what it would get
}

func TestALinkInALockFilesPlaceIsReplaced(t *testing.T) {
	for link, leads := range map[string]string{
		".lock to a file": ".other", ".flusher.lock to a file": ".other",
		".lock that leads nowhere": ".gone/away", ".flusher.lock that leads nowhere": ".gone/away",
	} {
		b := newBench(t, 0)
		suffix, _, _ := strings.Cut(link, " ")
		other := b.path + ".other"
		b.must(errors.Join(os.WriteFile(other, []byte("theirs"), 0o444), os.Symlink(b.path+leads, b.path+suffix)))
		b.addEvents(1)
		b.mustFlush()
		if info, err := os.Lstat(b.path + suffix); err != nil || !info.Mode().IsRegular() {
			t.Errorf("there is %v (%v), want a file in the place of the link usage.db%s", info, err, link)
		}
		if content, err := os.ReadFile(other); err != nil || string(content) != "theirs" {
			t.Errorf("the other file holds %q (%v), want it untouched", content, err)
		}
	}
}
