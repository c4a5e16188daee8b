package outboxtest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// greet is what a program does and records.
func greet(ctx context.Context, box *outbox.Outbox) error {
	fmt.Println("Hello!")
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
		if _, err := box.Flush(t.Context(), outbox.FlushOptions{}); err != nil {
			t.Fatal(err)
		}
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
	if list := outboxtest.Recorded(t, box); len(list) != 0 {
		t.Errorf("before the first event %v is recorded", list)
	}
	for n := range 3 {
		if n == 2 {
			if _, err := box.Flush(t.Context(), outbox.FlushOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := greet(t.Context(), box); err != nil {
			t.Fatal(err)
		}
	}
	var states []outbox.State
	for _, m := range outboxtest.Recorded(t, box) {
		states = append(states, m.State)
	}
	if want := []outbox.State{outbox.Dead, outbox.Delivered, outbox.Pending}; !slices.Equal(states, want) {
		t.Errorf("recorded are %v, want %v: a test asks what its command has recorded", states, want)
	}
	if sent := sink.Sent(); len(sent) != 2 || sent[1].Event != "greeted" || sent[1].DistinctID != "somebody" {
		t.Errorf("the sink has %v, want the two messages of the request", sent)
	}
}
