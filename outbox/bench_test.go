package outbox_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/posthog"
)

// BenchmarkRecord is what one more message costs, by the number of those that wait already: a
// transaction, its commit and the sync of the WAL. It has to be flat. With 100,000 the queue is
// full, and now and then a message drops the oldest. The queues take turns, so that a machine that
// changes its speed changes it for all of them.
func BenchmarkRecord(b *testing.B) {
	backlogs := []int{10, 10_000, 99_000, 100_000}
	boxes := make([]*outbox.Outbox, len(backlogs))
	for i, backlog := range backlogs {
		boxes[i] = filledBox(b, backlog, nil)
	}
	took := make([][]time.Duration, len(backlogs))
	for b.Loop() {
		for i, box := range boxes {
			start := time.Now()
			if _, err := box.Record(context.Background(), adding(message600())); err != nil {
				b.Fatal(err)
			}
			took[i] = append(took[i], time.Since(start))
		}
	}
	for i, backlog := range backlogs {
		b.ReportMetric(float64(median(took[i]).Microseconds()), fmt.Sprintf("us/record-behind-%d", backlog))
	}
	b.ReportMetric(0, "ns/op") // the sum of all four says nothing
}

func median(durations []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(durations))[len(durations)/2]
}

// BenchmarkDeliver is a flusher's work on 10,000 messages of 600 bytes, from the database to the settlement, but for
// what the network takes.
func BenchmarkDeliver(b *testing.B) {
	const backlog = 10_000
	sink := accepting{posthog.New(posthog.Config{Host: "http://127.0.0.1:9", Key: "phc_bench"})}
	for b.Loop() {
		b.StopTimer()
		box := filledBox(b, backlog, sink)
		b.StartTimer()
		if result, err := box.Deliver(context.Background(), 0); err != nil || result.Delivered != backlog {
			b.Fatalf("delivered %d, want %d: %v", result.Delivered, backlog, err)
		}
	}
	b.ReportMetric(backlog*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// accepting is a sink whose server has everything at once.
type accepting struct{ outbox.Sink }

func (accepting) Send(context.Context, outbox.Request) outbox.Answer { return all(accepted) }

// filledBox returns an outbox with a backlog of anonymous events of 600 bytes each.
func filledBox(tb testing.TB, backlog int, sink outbox.Sink) *outbox.Outbox {
	tb.Helper()
	box, err := outbox.New(outbox.Config{Path: filepath.Join(tb.TempDir(), "usage.db"), Sink: sink})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { box.Close() })
	for added := 0; added < backlog; added += 1000 {
		list := make([]outbox.Message, min(1000, backlog-added))
		for i := range list {
			list[i] = message600()
		}
		if err := box.Update(context.Background(), adding(list...)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := box.Close(); err != nil { // the next transaction opens it again, with a short WAL
		tb.Fatal(err)
	}
	return box
}

// message600 returns a message of about 600 bytes on the wire.
func message600() outbox.Message {
	return outbox.Message{
		UUID: uuid.Must(uuid.NewV7()).String(), Kind: outbox.Capture, Event: "CLI execution succeeded",
		AnonID: anonA, DistinctID: anonA, RecordedAt: time.Now().Truncate(time.Millisecond),
		Properties: fmt.Appendf(nil, `{"command_name":"secret.set","cli_version":"1.0.0","duration":12.34,"text":%q}`,
			strings.Repeat("x", 250)),
	}
}
