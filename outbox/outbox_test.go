package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/outbox/posthog"
)

// clock moves only when told. It is behind that of every machine: notes have the times of their files.
type clock struct{ moved atomic.Int64 }

func (c *clock) Now() time.Time {
	return time.Date(2020, 11, 23, 10, 0, 0, 0, time.UTC).Add(time.Duration(c.moved.Load()))
}

func (c *clock) Advance(d time.Duration) { c.moved.Add(int64(d)) }

// bench is an outbox on a real disk with the real sink and a fake PostHog.
type bench struct {
	testing.TB
	clock  *clock
	path   string
	box    *outbox.Outbox
	server *outboxtest.Server
	points func(name string) // called at the outbox's test points
}

// newBench returns one with so many events that wait.
func newBench(t testing.TB, events int) *bench {
	t.Helper()
	b := &bench{
		TB: t, clock: &clock{}, path: filepath.Join(t.TempDir(), "usage.db"), server: outboxtest.Start(t),
	}
	t.Cleanup(func() {
		for _, v := range b.server.Violations() {
			t.Errorf("PostHog would have made a mess: %s", v)
		}
	})
	b.box = b.open()
	if events > 0 {
		b.addEvents(events)
	}
	return b
}

// open returns another view of the same file, as another process would have it.
func (b *bench) open(changes ...func(cfg *outbox.Config)) *outbox.Outbox {
	b.Helper()
	cfg := outbox.Config{
		Path: b.path, Now: b.clock.Now, Jitter: func() float64 { return 0 },
		Sink: b.sink(), Start: func(string, []string) error { return nil },
		Point: func(name string) {
			if b.points != nil {
				b.points(name)
			}
		},
	}
	for _, change := range changes {
		change(&cfg)
	}
	box, err := outbox.New(cfg)
	b.must(err)
	b.Cleanup(func() {
		if err := box.Close(); err != nil {
			b.Errorf("close: %v", err)
		}
	})
	return box
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// meets checks which error something gives.
func (b *bench) meets(err, want error, what string) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Errorf("%s gives %v, want %v", what, err, want)
	}
}

func (b *bench) sink() outbox.Sink { return sinkAt(b.server.URL()) }

// sinkAt is the real one.
func sinkAt(url string) outbox.Sink {
	return posthog.New(posthog.Config{Host: url, Key: "phc_test", Transport: &http.Transport{DisableKeepAlives: true}})
}

// once does something when a point is reached for the first time.
func (b *bench) once(point string, do func()) {
	b.points = func(name string) {
		if name == point {
			b.points = nil
			do()
		}
	}
}

const (
	anonA = "11111111-1111-4111-8111-111111111111"
	anonB = "22222222-2222-4222-8222-222222222222"
)

// event returns the n-th event of an anonymous machine.
func (b *bench) event(n int) outbox.Message {
	return outbox.Message{
		UUID: uuid.NewString(), Kind: outbox.Capture, Event: "ran", AnonID: anonA, DistinctID: anonA,
		Properties: fmt.Appendf(nil, `{"n":%d}`, n), RecordedAt: b.clock.Now(),
	}
}

// held returns an event that waits under a name.
func (b *bench) held(name string) outbox.Message {
	m := b.event(1)
	m.DistinctID, m.Hold = "", name
	return m
}

// alias returns one of the machine's, with "" one that is held.
func (b *bench) alias(person string) outbox.Message {
	return outbox.Message{Kind: outbox.Alias, Event: "$create_alias", AnonID: anonA, DistinctID: person, RecordedAt: b.clock.Now()}
}

func (b *bench) tx(fn func(tx *outbox.Tx) error) {
	b.Helper()
	b.must(b.box.Update(context.Background(), fn))
}

func (b *bench) exec(statement string, args ...any) {
	b.Helper()
	b.tx(func(tx *outbox.Tx) error {
		_, err := tx.Exec(statement, args...)
		return err
	})
}

// one returns the one number that a query gives.
func (b *bench) one(query string) (n int) {
	b.Helper()
	b.tx(func(tx *outbox.Tx) error { return tx.QueryRow(query).Scan(&n) })
	return n
}

func (b *bench) add(messages ...outbox.Message) {
	b.Helper()
	b.tx(adding(messages...))
}

func adding(messages ...outbox.Message) func(tx *outbox.Tx) error {
	return func(tx *outbox.Tx) error {
		for _, m := range messages {
			if err := tx.Add(context.Background(), m); err != nil {
				return err
			}
		}
		return nil
	}
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

// record records as a command does, and reports whether it started a flusher.
func (b *bench) record(m outbox.Message) (started bool) {
	b.Helper()
	r, err := b.box.Record(context.Background(), adding(m))
	b.must(errors.Join(err, r.Trouble))
	return r.Started
}

// flush delivers as a flusher's process does.
func (b *bench) flush(changes ...func(cfg *outbox.Config)) (outbox.Result, error) {
	b.Helper()
	box := b.open(changes...)
	defer box.Close() // a process that has ended keeps no file open, and Windows renames none that is
	return box.Deliver(context.Background(), 0)
}

// mustFlush delivers everything, or fails the test.
func (b *bench) mustFlush(changes ...func(cfg *outbox.Config)) outbox.Result {
	b.Helper()
	result, err := b.flush(changes...)
	b.must(err)
	return result
}

// flushByHand delivers as `usage flush` does.
func (b *bench) flushByHand() (outbox.Result, error) {
	b.Helper()
	box := b.open()
	defer box.Close()
	return box.Flush(context.Background(), outbox.FlushOptions{})
}

// delayOf returns the delay that a run ended with, an empty one for another end.
func delayOf(err error) outbox.Delay {
	if delay, ok := errors.AsType[*outbox.Delay](err); ok {
		return *delay
	}
	return outbox.Delay{}
}

// delayed fails the test unless a run ended with a delay of that code, and so many failures are noted.
func (b *bench) delayed(err error, code string, failures int) {
	b.Helper()
	if delayOf(err).Code != code {
		b.Errorf("the run ended with %v, want a delay with the code %q", err, code)
	}
	if s := b.schedule(); s.Failures != failures {
		b.Errorf("%d failures are noted, want %d: %+v", s.Failures, failures, s)
	}
}

func (b *bench) messages() []outbox.Message {
	b.Helper()
	return outboxtest.Recorded(b, b.box)
}

func (b *bench) counts() (c outbox.Counts) {
	b.Helper()
	b.tx(func(tx *outbox.Tx) (err error) {
		c, err = tx.Counts(context.Background())
		return err
	})
	return c
}

// holds fails the test unless the queue has so many messages, receipts and held aliases aside.
func (b *bench) holds(want outbox.Counts, why string) {
	b.Helper()
	is := b.counts()
	is.Delivered, is.HeldAliases = 0, 0
	if is != want {
		b.Errorf("the queue has %+v, want %+v: %s", is, want, why)
	}
}

// arrived fails the test unless PostHog has so many events.
func (b *bench) arrived(want int, why string) {
	b.Helper()
	if n := len(b.server.Events()); n != want {
		b.Errorf("%d events have arrived, want %d: %s", n, want, why)
	}
}

func (b *bench) schedule() (s outbox.Schedule) {
	b.Helper()
	b.tx(func(tx *outbox.Tx) error {
		s = tx.Schedule()
		return nil
	})
	return s
}

// scripted is a sink whose answers a test gives. Its body is never looked at.
type scripted struct {
	outboxtest.Sink
	endpoint string
	answer   func(r outbox.Request) outbox.Answer
	encode   func(messages []outbox.Message) (n int, err error) // nil: all of them
	requests []outbox.Request
}

func (s *scripted) Endpoint() string { return s.endpoint }

func (s *scripted) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	if s.encode == nil {
		return nil, len(messages), nil
	}
	n, err = s.encode(messages)
	return nil, n, err
}

func (s *scripted) Send(_ context.Context, r outbox.Request) outbox.Answer {
	s.requests = append(s.requests, r)
	return s.answer(r)
}

// carried fails the test unless the requests had so many messages each.
func (s *scripted) carried(t testing.TB, why string, want ...int) {
	t.Helper()
	var sizes []int
	for _, r := range s.requests {
		sizes = append(sizes, len(r.Messages))
	}
	if !slices.Equal(sizes, want) {
		t.Errorf("requests of %v messages, want %v: %s", sizes, want, why)
	}
}

var (
	accepted = outbox.Verdict{Outcome: outbox.Accepted}
	refused  = outbox.Verdict{Outcome: outbox.Refused, Code: "event_too_big", Reason: "PostHog: event_too_big"}
	again    = outbox.Verdict{Outcome: outbox.Later, Code: outbox.CodeServer, Reason: "come again"}
)

func all(v outbox.Verdict) outbox.Answer { return outbox.Answer{Verdict: v} }

func fewer(code string) outbox.Answer {
	return all(outbox.Verdict{Outcome: outbox.Fewer, Code: code, Reason: "too many"})
}

// each answers with one verdict for each message, by its place in the queue.
func each(verdict func(n int64) outbox.Verdict) func(outbox.Request) outbox.Answer {
	return func(r outbox.Request) (a outbox.Answer) {
		for _, m := range r.Messages {
			a.Each = append(a.Each, verdict(m.Seq-1))
		}
		return a
	}
}

func answering(a outbox.Answer) *scripted {
	return &scripted{endpoint: "here", answer: func(outbox.Request) outbox.Answer { return a }}
}

// always answers so to each request.
func always(v outbox.Verdict) *scripted { return answering(all(v)) }

// refusing refuses each message for itself.
func refusing() *scripted {
	return &scripted{answer: each(func(int64) outbox.Verdict { return refused })}
}

// through makes the outbox send through s.
func through(s *scripted) func(*outbox.Config) { return func(cfg *outbox.Config) { cfg.Sink = s } }

// takes is a server for up to most messages at once. With more it lets the sink's patience run out; where that is 0, it refuses them.
func (b *bench) takes(most int, patience time.Duration) *scripted {
	toMore := fewer(outbox.CodeRefused)
	if patience > 0 {
		toMore = fewer(outbox.CodeTimeout)
	}
	return &scripted{endpoint: "here", answer: func(r outbox.Request) outbox.Answer {
		if len(r.Messages) > most {
			b.clock.Advance(patience)
			return toMore
		}
		return all(accepted)
	}}
}

// old makes the server a PostHog that has /batch/ only, which refuses all messages for one that is refused.
func (b *bench) old(isRefused func(outboxtest.Message) bool) {
	b.server.SetWithoutV1(true)
	b.server.SetResults(func(m outboxtest.Message) string {
		if isRefused(m) {
			return "drop:rejected"
		}
		return ""
	})
}

func (b *bench) disable() {
	b.Helper()
	_, err := b.box.Disable(b.Context())
	b.must(err)
}

// fill makes a backlog of n pending events with one statement.
func (b *bench) fill(n int, at time.Time) {
	b.Helper()
	b.exec(`
		WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?1)
		INSERT INTO messages (uuid, kind, event, anon_id, distinct_id, properties, recorded_at)
		SELECT format('%08x-0000-7000-8000-000000000000', i), 'capture', 'ran', ?2, ?2, '{}', ?3 FROM c`,
		n, anonA, at.UnixMilli())
}

// blocks puts a directory in the place of one of the database's files.
func (b *bench) blocks(suffix string) {
	b.Helper()
	b.must(errors.Join(b.box.Close(), os.RemoveAll(b.path+suffix), os.Mkdir(b.path+suffix, 0o700)))
}
