package outbox_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// The user's word counts until the request leaves, also when the flusher has its batch in hand
// already, and even if it was stopped there for so long that tracking is on again.
func TestWhatTheUserTakesBackIsNotSentAfterTheBatchWasTaken(t *testing.T) {
	ctx := context.Background()
	disable := func(box *outbox.Outbox) error { _, err := box.Disable(ctx); return err }
	for name, word := range map[string]struct {
		say  func(box *outbox.Outbox) error
		want error // of the run
	}{
		"off":                {disable, outbox.ErrOff},
		"off, then on again": {func(box *outbox.Outbox) error { return errors.Join(disable(box), box.Enable(ctx)) }, nil},
		"erase":              {func(box *outbox.Outbox) error { _, err := box.Clear(ctx, nil); return err }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(3)
			b.points = func(reached string) {
				if reached == "claimed" {
					b.points = nil
					if err := word.say(b.open()); err != nil {
						t.Error(err)
					}
				}
			}
			if _, err := b.flush(); !errors.Is(err, word.want) {
				t.Errorf("the run ended with %v, want %v", err, word.want)
			}
			if n := len(b.server.Requests()); n != 0 {
				t.Errorf("%d requests were made, want none after the user's word", n)
			}
			if s := b.schedule(); s.Failures != 0 {
				t.Error("it counts as a failure of the server's")
			}
		})
	}
}

func TestAFlusherWhoseMessagesWereErasedSendsWhatIsRecordedAfterwards(t *testing.T) {
	b := newBench(t)
	b.addEvents(3)
	b.points = func(reached string) {
		if reached == "claimed" {
			b.points = nil
			if _, err := b.open().Clear(context.Background(), nil); err != nil {
				t.Error(err)
			}
			b.addEvents(1)
		}
	}
	b.mustFlush()
	if n := len(b.server.Events()); n != 1 {
		t.Errorf("PostHog has %d events, want the one that was recorded after the others were erased", n)
	}
}

func TestTheEndOfADeliveryUnderWayCanBeWaitedFor(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	at := b.server.PauseNext(outboxtest.AfterRead)
	done := make(chan error, 1)
	go func() {
		_, err := b.flush()
		done <- err
	}()
	<-at.Reached()
	b.disable()
	if b.box.AwaitFlusher(context.Background(), 10*time.Millisecond) {
		t.Error("the wait ended while a request was under way")
	}
	at.Release()
	if !b.box.AwaitFlusher(context.Background(), time.Minute) {
		t.Error("the wait did not end with the flusher")
	}
	if n := len(b.server.Commits()); n != 1 {
		t.Errorf("PostHog has %d messages, want the one that was under way", n)
	}
	if err := <-done; err != nil && !errors.Is(err, outbox.ErrOff) {
		t.Error(err)
	}
}

func TestWhatTheEnvironmentGrantsIsNotStoppedByDisable(t *testing.T) {
	b := newBench(t)
	b.disable()
	granted := func(cfg *outbox.Config) { cfg.Consent = outbox.ForceOn }
	box := b.open(granted)
	if _, err := box.Record(context.Background(), adding(b.event(1))); err != nil {
		t.Fatal(err)
	}
	if _, err := b.flush(granted); err != nil || len(b.server.Events()) != 1 {
		t.Errorf("%v, and PostHog has %d events, want one: the environment has the last word", err, len(b.server.Events()))
	}
}
