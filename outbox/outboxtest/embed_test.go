package outboxtest_test

import (
	"context"
	"fmt"
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
		if sent := cfg.Sink.(*outboxtest.Sink).Sent(); len(sent) != 1 {
			t.Errorf("it has delivered %v", sent)
		}
	}
	_ = test
}

func TestAnEmbeddersTestSeesWhatWasRecordedAndDelivered(t *testing.T) {
	t.Setenv("DO_NOT_TRACK", "1") // a CI's
	cfg := outboxtest.New(t)
	box, err := outbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	if list := outboxtest.Recorded(t, box); len(list) != 0 {
		t.Errorf("before the first event %v is recorded", list)
	}
	for range 2 {
		if err := greet(t.Context(), box); err != nil {
			t.Fatal(err)
		}
	}
	if list := outboxtest.Recorded(t, box); len(list) != 2 || list[0].Event != "greeted" || list[0].Seq >= list[1].Seq {
		t.Errorf("%v is recorded, want the two events in order", list)
	}
	if done, err := box.Flush(t.Context(), outbox.FlushOptions{}); err != nil || done.Delivered != 2 {
		t.Errorf("%+v, %v; want both delivered without a network", done, err)
	}
	if sent := cfg.Sink.(*outboxtest.Sink).Sent(); len(sent) != 2 || sent[1].DistinctID != "somebody" {
		t.Errorf("the sink has %v", sent)
	}
}
