package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// While the second batch is under way the third one is made ready. These tests say when it must
// not leave.

// at calls do when the point is reached for the nth time.
func (b *bench) at(point string, nth int, do func()) {
	b.points = func(reached string) {
		if reached != point {
			return
		}
		if nth--; nth == 0 {
			b.points = nil
			do()
		}
	}
}

func TestWhatIsReadyWaitsForTheAnswerToTheBatchBefore(t *testing.T) {
	b := newBench(t)
	b.addEvents(1600)
	b.server.SetLatency(20 * time.Millisecond)
	b.mustFlush()
	if n := len(b.server.Requests()); n != 4 {
		t.Errorf("%d requests, want 4 of at most 500 messages", n)
	}
	b.noViolations() // overlapping requests and a wrong order are some
}

func TestWhatIsReadyIsNotSentAfterABatchThatWasNotAccepted(t *testing.T) {
	for _, fault := range []outboxtest.Fault{{Mode: "503"}, {Mode: "portal"}, {Mode: "reset-in-body"}, {Mode: "503", Commit: true}} {
		t.Run(fault.String(), func(t *testing.T) {
			b := newBench(t)
			b.addEvents(1600)
			b.server.SetFaults(outboxtest.Fault{}, fault)
			var delay *outbox.Delay
			if result, err := b.flush(); result.Delivered != 500 || !errors.As(err, &delay) {
				t.Errorf("the run delivered %d and ended with %v, want the first batch and a delay", result.Delivered, err)
			}
			if n := len(b.server.Requests()); n != 2 {
				t.Errorf("%d requests, want none after the one that failed: what comes later would overtake it", n)
			}
			b.clock.Advance(time.Hour)
			b.mustFlush()
			if n := len(b.server.Events()); n != 1600 {
				t.Errorf("PostHog has %d messages, want each of the 1600 once", n)
			}
			b.noViolations()
		})
	}
}

func TestWhatIsReadyIsNotSentAfterTheUserHasTakenItBack(t *testing.T) {
	for name, word := range userWords() {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(1600)
			b.at("answered", 2, func() {
				if err := word.say(b.open()); err != nil {
					t.Error(err)
				}
			})
			if _, err := b.flush(); !errors.Is(err, word.want) {
				t.Errorf("the run ended with %v, want %v", err, word.want)
			}
			if n := len(b.server.Requests()); n != 2 {
				t.Errorf("%d requests were made, want none after the user's word", n)
			}
		})
	}
}

// An event that is recorded meanwhile may wait for its principal: it is decided in its turn, when
// somebody was asked, and not because the batch before was busy.
func TestWhatIsUndecidedIsNotMadeReady(t *testing.T) {
	b := newBench(t)
	b.addEvents(1100)
	b.at("claimed", 2, func() {
		m := b.event(1100)
		m.DistinctID, m.Credential = "", "fingerprint"
		if err := b.open().InTx(context.Background(), func(tx *sql.Tx) error {
			return outbox.AddTx(context.Background(), tx, m)
		}); err != nil {
			t.Error(err)
		}
	})
	f := b.flusher()
	f.Resolve = func(ctx context.Context) error {
		return f.Outbox.InTx(ctx, func(tx *sql.Tx) error {
			return outbox.DecideTx(ctx, tx, outbox.Undecided{Kind: outbox.Capture, Credential: "fingerprint"}, "person")
		})
	}
	if _, err := f.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	commits := b.server.Commits()
	if len(commits) != 1101 || commits[1100].DistinctID != "person" {
		t.Errorf("PostHog has %d messages, the last one of %s, want 1101 and the last one the person's",
			len(commits), commits[len(commits)-1].DistinctID)
	}
	b.noViolations()
}
