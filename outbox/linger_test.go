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

func TestAScriptsNextCommandNeedsAFlusherOnlyWhereTheOneThatLingersDoesNotDo(t *testing.T) {
	for name, test := range map[string]struct {
		isHeld, isGone, starts bool
		arrived                int
	}{
		"it delivers the next event":                        {arrived: 2},
		"it may lack the key that a held message waits for": {isHeld: true, starts: true, arrived: 1},
		"it is gone": {isGone: true, starts: true, arrived: 1},
	} {
		b := newBench(t, 0)
		message := b.event(2)
		if test.isHeld {
			message = b.held("a key")
		}
		next := func() {
			if got := b.record(message); got != test.starts {
				t.Errorf("%s: a flusher was started: %t, want %t", name, got, test.starts)
			}
		}
		if test.isGone {
			b.lingering(func() {})
			next()
		} else {
			b.lingering(next)
		}
		b.arrived(test.arrived, name)
	}
}

func TestAFlusherDoesNotLingerIntoTheEndOfItsLife(t *testing.T) {
	b := newBench(t, 1)
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
	b := newBench(t, 0)
	b.lingering(b.disable)
	if b.box.Flushing() {
		t.Error("the flusher is still at work: usage disable would wait for all of its time")
	}
}
