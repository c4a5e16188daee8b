package outbox_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// BenchmarkRecord is what one more message costs, by the number of those that wait already: a transaction, its commit and the
// sync of the WAL. It has to be flat. With 100,000 the queue is full, and now and then a message drops the oldest.
func BenchmarkRecord(b *testing.B) {
	for _, backlog := range []int{10, 10_000, 99_000, 100_000} {
		b.Run(fmt.Sprint("behind ", backlog), func(b *testing.B) {
			box := newFilledBench(b, backlog)
			for b.Loop() {
				box.record(box.event(0))
			}
		})
	}
}

// BenchmarkDeliver is a flusher's work on 10,000 messages of 600 bytes, from the database to the settlement, but for
// what the network takes.
func BenchmarkDeliver(b *testing.B) {
	const backlog = 10_000
	for b.Loop() {
		b.StopTimer()
		filled := newFilledBench(b, backlog)
		sink := accepting{filled.sink()}
		b.StartTimer()
		if result := filled.mustFlush(func(cfg *outbox.Config) { cfg.Sink = sink }); result.Delivered != backlog {
			b.Fatalf("delivered %d, want %d", result.Delivered, backlog)
		}
	}
	b.ReportMetric(backlog*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// newFilledBench returns one with a backlog of anonymous events of 600 bytes each.
func newFilledBench(b *testing.B, backlog int) *bench {
	filled := newBench(b, 0)
	filled.fill(backlog, filled.clock.Now())
	filled.exec(`UPDATE messages SET properties = json_object('command_name', 'secret.set', 'text', ?)`, strings.Repeat("x", 300))
	filled.must(filled.box.Close()) // the next transaction opens it again, with a short WAL
	return filled
}

// accepting is a sink whose server has everything at once.
type accepting struct{ outbox.Sink }

func (accepting) Send(context.Context, outbox.Request) outbox.Answer { return all(accepted) }
