package outbox_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
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

// BenchmarkDeliver is a flusher's work on 10,000 messages of 600 bytes, from the database to
// the settlement, against an endpoint on loopback that answers at once or after a while.
func BenchmarkDeliver(b *testing.B) {
	const backlog = 10_000
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		b.Run(fmt.Sprintf("latency=%s", latency), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				endpoint := newLeanEndpoint(b, latency)
				box := filledBox(b, backlog, posthog.New(posthog.Config{Host: endpoint.URL, Key: "phc_bench"}))
				b.StartTimer()
				result, err := box.Deliver(context.Background(), 0)
				if err != nil || result.Delivered != backlog || endpoint.messages.Load() != backlog {
					b.Fatalf("delivered %d, arrived %d, want %d: %v", result.Delivered, endpoint.messages.Load(), backlog, err)
				}
			}
			b.ReportMetric(backlog*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// filledBox returns an outbox with a backlog of anonymous events of 600 bytes each.
func filledBox(tb testing.TB, backlog int, sink outbox.Sink) *outbox.Outbox {
	tb.Helper()
	box, err := outbox.New(outbox.Config{Path: filepath.Join(tb.TempDir(), "usage.db"), Sink: sink})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { box.Close() })
	for added := 0; added < backlog; added += 1000 {
		err := box.Update(context.Background(), adding(messages600(min(1000, backlog-added))...))
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := box.Close(); err != nil { // the next transaction opens it again, with a short WAL
		tb.Fatal(err)
	}
	return box
}

func messages600(n int) []outbox.Message {
	list := make([]outbox.Message, n)
	for i := range list {
		list[i] = message600()
	}
	return list
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

// leanEndpoint acknowledges every batch and counts what was in it. An outboxtest.Server looks at every message,
// which takes longer than to send it.
type leanEndpoint struct {
	*httptest.Server
	messages atomic.Int64
}

func newLeanEndpoint(tb testing.TB, latency time.Duration) *leanEndpoint {
	e := &leanEndpoint{}
	uuids := regexp.MustCompile(`"uuid":("[^"]*")`)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := gzip.NewReader(r.Body)
		if err != nil {
			return
		}
		content, _ := io.ReadAll(body) // what is cut has no receipt
		var results []string
		for _, id := range uuids.FindAllSubmatch(content, -1) {
			results = append(results, string(id[1])+`:{"result":"ok"}`)
		}
		e.messages.Add(int64(len(results)))
		time.Sleep(latency)
		io.WriteString(w, `{"results":{`+strings.Join(results, ",")+`}}`)
	}))
	tb.Cleanup(e.Close)
	return e
}
