package outbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// clock moves only when told.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// bench is an outbox on a real disk with a real posthog-go and a fake PostHog.
type bench struct {
	*testing.T
	clock  *clock
	path   string
	box    *outbox.Outbox
	server *outboxtest.Server
	points func(name string) // called at the outbox's test points
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, clock: newClock(), path: filepath.Join(t.TempDir(), "usage.db"), server: outboxtest.Start(t)}
	b.box = b.open()
	return b
}

// open returns another view of the same file, as another process would have it.
func (b *bench) open() *outbox.Outbox {
	box := outbox.New(outbox.Config{Path: b.path, Now: b.clock.Now, Point: func(name string) {
		if b.points != nil {
			b.points(name)
		}
	}})
	b.Cleanup(func() {
		if err := box.Close(); err != nil {
			b.Errorf("close: %v", err)
		}
	})
	return box
}

// event returns the n-th event of an anonymous machine.
func (b *bench) event(n int) outbox.Message {
	return outbox.Message{
		UUID: uuid.NewString(), Kind: outbox.Capture, Event: "ran", AnonID: anonA, DistinctID: anonA,
		Properties: fmt.Appendf(nil, `{"n":%d}`, n), RecordedAt: b.clock.Now(),
	}
}

const (
	anonA = "11111111-1111-4111-8111-111111111111"
	anonB = "22222222-2222-4222-8222-222222222222"
)

func (b *bench) tx(fn func(tx *sql.Tx) error) {
	b.Helper()
	if err := b.box.InTx(context.Background(), fn); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) add(messages ...outbox.Message) {
	b.Helper()
	b.tx(func(tx *sql.Tx) error {
		for _, m := range messages {
			if err := outbox.AddTx(context.Background(), tx, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// addEvents adds n events, one clock tick apart.
func (b *bench) addEvents(n int) {
	b.Helper()
	list := make([]outbox.Message, n)
	for i := range list {
		list[i] = b.event(i)
		b.clock.Advance(time.Millisecond)
	}
	b.add(list...)
}

func (b *bench) flusher() *outbox.Flusher {
	return &outbox.Flusher{
		Outbox: b.open(), Endpoint: b.server.URL(), Key: "phc_test",
		Transport: &http.Transport{DisableKeepAlives: true},
		Jitter:    func() float64 { return 0 },
		Resolve:   func(context.Context) error { return nil },
		Anonymous: func(context.Context, *sql.Tx, string) error { return nil },
	}
}

func (b *bench) flush() (outbox.Result, error) {
	flusher := b.flusher()
	defer flusher.Outbox.Close() // a process that has ended keeps no file open, and Windows renames none that is
	return flusher.Run(context.Background())
}

// mustFlush delivers everything, or fails the test.
func (b *bench) mustFlush() outbox.Result {
	b.Helper()
	result, err := b.flush()
	if err != nil {
		b.Fatalf("flush: %v", err)
	}
	return result
}

func (b *bench) messages(f outbox.Filter) (list []outbox.Message) {
	b.Helper()
	b.tx(func(tx *sql.Tx) (err error) {
		list, err = outbox.MessagesTx(context.Background(), tx, f)
		return err
	})
	return list
}

func (b *bench) counts() (c outbox.Counts) {
	b.Helper()
	b.tx(func(tx *sql.Tx) (err error) {
		c, err = outbox.CountsTx(context.Background(), tx)
		return err
	})
	return c
}

func (b *bench) schedule() (s outbox.Schedule) {
	b.Helper()
	b.tx(func(tx *sql.Tx) (err error) {
		s, err = outbox.ScheduleTx(context.Background(), tx)
		return err
	})
	return s
}

// noViolations fails the test for everything that PostHog would have made a mess of.
func (b *bench) noViolations() {
	b.Helper()
	for _, v := range b.server.Violations() {
		b.Errorf("PostHog saw: %s", v)
	}
}
