package outbox_test

import (
	"context"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// lingering runs a flusher that has delivered one event and lingers, and calls meanwhile. It returns
// when that flusher has ended.
func (b *bench) lingering(meanwhile func()) {
	b.Helper()
	b.addEvents(1)
	var began bool
	box := b.open(func(cfg *outbox.Config) {
		cfg.Point = func(name string) {
			if name == "lingering" && !began {
				began = true
				meanwhile()
			}
		}
	})
	if _, err := box.DeliverAndLinger(context.Background()); err != nil || !began {
		b.Fatalf("the flusher ended with %v, and lingered: %t", err, began)
	}
}

func TestAScriptsNextCommandNeedsNoFlusherOfItsOwn(t *testing.T) {
	b := newBench(t)
	b.lingering(func() {
		if b.record(b.event(2)) {
			t.Error("a flusher was started beside one that lingers; a script would start one for each command")
		}
	})
	b.arrived(2, "the one flusher delivers both")
}

func TestAFlusherThatLingersDoesNotCountWhereAnotherOneMayDoBetter(t *testing.T) {
	t.Run("for a message that is held", func(t *testing.T) {
		b := newBench(t)
		b.lingering(func() {
			if !b.record(b.held("a key")) {
				t.Error("no flusher was started; the one that lingers may lack the key that the message waits for")
			}
		})
		b.holds(outbox.Counts{Pending: 1}, "the held one is left to the flusher that has its key")
	})
	t.Run("for a command that comes when it is gone", func(t *testing.T) {
		b := newBench(t)
		b.lingering(func() {})
		if !b.record(b.event(2)) {
			t.Error("no flusher was started; the event would wait for the next command")
		}
	})
}

func TestAFlusherDoesNotLingerIntoTheEndOfItsLife(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	var runs, waits int
	box := b.open(func(cfg *outbox.Config) {
		cfg.Point = func(name string) {
			switch name {
			case "flushing":
				runs++
			case "lingering":
				if waits++; waits == 1 {
					b.record(b.event(2))
				}
			}
		}
	})
	if _, err := box.DeliverAndLinger(newEnding(t, 5*time.Second)); err != nil || runs != 2 {
		t.Errorf("it had the lock %d times and ended with %v; want it released while a request can still be answered", runs, err)
	}
}

func TestAFlusherThatLingersEndsWhenTrackingIsSwitchedOff(t *testing.T) {
	b := newBench(t)
	b.lingering(b.disable)
	if b.box.Flushing() {
		t.Error("the flusher is still at work: usage disable would wait for all of its time")
	}
}
