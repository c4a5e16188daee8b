package outboxtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Server is the fake endpoint: an http.Handler with a memory, which can also listen by
// itself. All methods can be called at any time from any goroutine, while requests are
// being served, too.
type Server struct {
	now func() time.Time

	mu         sync.Mutex
	ledger     ledger
	requests   []Request
	flights    []*flight
	violations []string
	said       map[string]bool // violations, so that each is reported once
	script     Script
	latency    time.Duration
	cutReused  bool
	poison     func(Message) int
	watcher    Watcher
	pauses     map[Point][]*Pause
	changed    chan struct{} // closed and replaced whenever something has happened
	closing    chan struct{} // closed by Close, replaced by Listen
	listening  listening
}

// New returns a healthy server that does not listen yet.
func New() *Server {
	return &Server{
		now:     time.Now,
		ledger:  newLedger(),
		said:    map[string]bool{},
		pauses:  map[Point][]*Pause{},
		changed: make(chan struct{}),
		closing: make(chan struct{}),
	}
}

// Start returns a server that listens on a free port of 127.0.0.1 until the test ends.
func Start(tb testing.TB) *Server {
	tb.Helper()
	return start(tb, (*Server).Listen)
}

// StartTLS is [Start] with TLS and a certificate that nobody knows, see [Server.CAPEM].
func StartTLS(tb testing.TB) *Server {
	tb.Helper()
	return start(tb, (*Server).ListenTLS)
}

func start(tb testing.TB, listen func(*Server, string) error) *Server {
	tb.Helper()
	s := New()
	if err := listen(s, "127.0.0.1:0"); err != nil {
		tb.Fatalf("start the fake capture endpoint: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

// SetFaults makes each of the next requests fail in one of these ways, in this order, and
// all later ones succeed. Without arguments the server is healthy at once. For a burst use
// slices.Repeat. It panics when a fault does not exist.
func (s *Server) SetFaults(once ...Fault) { s.SetScript(Script{Once: once}) }

// SetFault makes every request from now on fail in this way. It panics when the fault does
// not exist.
func (s *Server) SetFault(f Fault) { s.SetScript(Script{Then: f}) }

// SetScript replaces what is left of the script. It panics when it names a fault that does
// not exist.
func (s *Server) SetScript(script Script) {
	if err := script.check(); err != nil {
		panic("outboxtest: " + err.Error())
	}
	script.Once = slices.Clone(script.Once)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// SetLatency makes every answer wait for d, after the batch was kept.
func (s *Server) SetLatency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

// SetCutReused makes the server reset a connection when a second request comes on it, before it
// looks at the request. So a server looks that closes idle connections at the wrong moment.
func (s *Server) SetCutReused(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cutReused = on
}

// SetPoison gives a test the say which messages are bad. The status 400 refuses their whole
// batch; 413 refuses it, too, but keeps the messages before the bad one, as PostHog does; 0
// is for a good message. It is called once or more for each message, possibly by several
// requests at once. Nil, the default, finds all of them good.
func (s *Server) SetPoison(status func(Message) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poison = status
}

// Commits returns everything that was kept, repeats included, in order.
func (s *Server) Commits() []Commit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ledger.commits)
}

// Events returns what PostHog shows after it has folded the repeats: the commits without
// those, in order, aliases included.
func (s *Server) Events() []Commit {
	return slices.DeleteFunc(s.Commits(), func(c Commit) bool { return c.Repeat })
}

// Aliases returns the edges of the alias graph, the first alias of each anon id, in the order
// in which they were kept. An alias that PostHog drops is not among them.
func (s *Server) Aliases() []Alias {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.graph()
}

// Requests returns every request that has begun, the unfinished ones, too.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Violations returns what a sender must never do and has done, one sentence each. The
// package comment lists the kinds.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// Await returns when done says so. It asks at once and after everything that happens at the
// server; done may call the server's methods. The error is that of ctx, with what was seen.
func (s *Server) Await(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the capture endpoint has %d events from %d requests and waited for more: %w",
				len(s.Events()), len(s.Requests()), ctx.Err())
		}
	}
}

// AwaitEvents returns when n events, repeats folded, have been kept.
func (s *Server) AwaitEvents(ctx context.Context, n int) error {
	return s.Await(ctx, func() bool { return len(s.Events()) >= n })
}

// happened wakes up who waits in Await. It is called with the lock held.
func (s *Server) happened() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// violate reports sentences that were not reported before.
func (s *Server) violate(sentences ...string) {
	for _, sentence := range sentences {
		s.mu.Lock()
		known, watcher := s.said[sentence], s.watcher
		if !known {
			s.said[sentence] = true
			s.violations = append(s.violations, sentence)
			s.happened()
		}
		s.mu.Unlock()
		if !known {
			watcher.violated(sentence)
		}
	}
}

// Counting acknowledges every batch after the latency and adds up in messages what was in it. It is for
// benchmarks: a [Server] looks at every message, and takes longer for that than a flusher takes to send
// it.
func Counting(messages *atomic.Int64, latency time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		content, err := io.ReadAll(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		messages.Add(int64(bytes.Count(content, []byte(`"uuid":`))))
		time.Sleep(latency)
		io.WriteString(w, `{"status":"Ok"}`)
	})
}
