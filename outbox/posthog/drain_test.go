package posthog

import (
	"context"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/posthog/posthog-go"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// BenchmarkDrain delivers 100,000 messages from the database, one request at a time and settled, and
// beside it as the library's client does: from memory, many requests at once, and forgotten.
func BenchmarkDrain(b *testing.B) {
	const backlog = 100_000
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		for name, prepare := range map[string]func(*testing.B, string, []outbox.Message) (drain func()){
			"outbox": fromTheOutbox, "library": fromMemory,
		} {
			b.Run(fmt.Sprintf("latency=%s/%s", latency, name), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					url, arrived := countingServer(b, latency)
					drain := prepare(b, url, typical(backlog))
					b.StartTimer()
					drain()
					if n := arrived.Load(); n != backlog {
						b.Fatalf("%d messages arrived, want %d", n, backlog)
					}
				}
				b.ReportMetric(float64(backlog*b.N)/b.Elapsed().Seconds(), "messages/s")
			})
		}
	}
}

func fromTheOutbox(b *testing.B, url string, messages []outbox.Message) func() {
	box, err := outbox.New(outbox.Config{Path: filepath.Join(b.TempDir(), "usage.db"), Sink: New(Config{Host: url, Key: "k"})})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { box.Close() })
	err = box.Update(context.Background(), func(tx *outbox.Tx) error {
		for _, m := range messages {
			if err := tx.Add(context.Background(), m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		if _, err := box.Flush(context.Background(), outbox.FlushOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func fromMemory(b *testing.B, url string, messages []outbox.Message) func() {
	client, err := posthog.NewWithConfig("k", posthog.Config{
		Endpoint: url, BatchSize: 500, Interval: time.Hour, MaxQueueSize: len(messages), MaxEnqueuedRequests: len(messages),
		Compression: posthog.CompressionGzip, MaxRetries: posthog.Ptr(0), IsServer: posthog.Ptr(false), Logger: silent{},
	})
	if err != nil {
		b.Fatal(err)
	}
	list := make([]posthog.Message, len(messages))
	for i, m := range messages {
		list[i] = given(b, m)
	}
	return func() {
		for _, m := range list {
			if err := client.Enqueue(m); err != nil {
				b.Fatal(err)
			}
		}
		client.Close()
	}
}

// countingServer is a PostHog that only counts.
func countingServer(b *testing.B, latency time.Duration) (url string, arrived *atomic.Int64) {
	arrived = new(atomic.Int64)
	server := httptest.NewServer(outboxtest.Counting(arrived, latency))
	b.Cleanup(server.Close)
	return server.URL, arrived
}
