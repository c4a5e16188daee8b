package outboxtest_test

import (
	"context"
	"slices"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// greet records what a program has done.
func greet(ctx context.Context, box *outbox.Outbox) error {
	_, err := box.Record(ctx, func(tx *outbox.Tx) error {
		return tx.Add(ctx, outbox.Message{Event: "greeted", AnonID: "somebody"})
	})
	return err
}

// A test of a program that embeds an outbox looks at what a command has recorded, and at what is delivered.
func ExampleNew() {
	test := func(t *testing.T) { // in your package: func TestGreetRecordsOneEvent(t *testing.T)
		cfg := outboxtest.New(t)
		box, err := outbox.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { box.Close() })
		if err := greet(t.Context(), box); err != nil {
			t.Fatal(err)
		}
		if recorded := outboxtest.Recorded(t, box); len(recorded) != 1 || recorded[0].Event != "greeted" {
			t.Errorf("it has recorded %v", recorded)
		}
		box.Flush(t.Context(), outbox.FlushOptions{})
		if sent := cfg.Sink.(*outboxtest.Sink).Sent(); len(sent) != 1 || sent[0].DistinctID != "somebody" {
			t.Errorf("it has delivered %v", sent)
		}
	}
	_ = test
}

// picky is a Sink that refuses the first of two messages for good.
type picky struct{ *outboxtest.Sink }

func (p picky) Send(ctx context.Context, r outbox.Request) outbox.Answer {
	return outbox.Answer{Each: []outbox.Verdict{{Outcome: outbox.Refused, Code: "rejected", Reason: "refused"}, p.Sink.Send(ctx, r).Verdict}}
}

func TestRecordedListsWhatWasRecordedWhateverBecameOfIt(t *testing.T) {
	t.Setenv("DO_NOT_TRACK", "1") // a CI's
	cfg := outboxtest.New(t)
	sink := picky{cfg.Sink.(*outboxtest.Sink)}
	cfg.Sink = sink
	box, err := outbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	all := outboxtest.Recorded(t, box) // none, before the first event
	_ = greet(t.Context(), box)        // what fails is not recorded, or not sent
	_ = greet(t.Context(), box)
	_, _ = box.Flush(t.Context(), outbox.FlushOptions{})
	_ = greet(t.Context(), box)
	var states []outbox.State
	for _, m := range append(all, outboxtest.Recorded(t, box)...) {
		states = append(states, m.State)
	}
	want := []outbox.State{outbox.Dead, outbox.Delivered, outbox.Pending}
	if sent := sink.Sent(); !slices.Equal(states, want) || len(sent) != 2 || sent[1].DistinctID != "somebody" {
		t.Errorf("recorded are %v and sent %v, want %v and the two of the request", states, sent, want)
	}
}
