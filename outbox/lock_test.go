package outbox_test

import (
	"errors"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Whoever asks whether a flusher is running touches its lock for a moment. A command that
// does so must not turn away the flusher that another command has just started.
func TestALookAtTheFlushersLockTurnsNoFlusherAway(t *testing.T) {
	b := newBench(t)
	looker, done, stop := b.open(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				looker.FlusherRunning()
			}
		}
	}()
	for range 30 {
		b.addEvents(1)
		if _, err := b.flush(); errors.Is(err, outbox.ErrBusy) {
			t.Error("a flusher went away, although no other one was at work")
			break
		}
	}
	close(stop)
	<-done
}
