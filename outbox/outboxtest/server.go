package outboxtest

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Server is the fake endpoint: an http.Handler with a memory, which can also listen by itself. All
// methods can be called at any time from any goroutine, while requests are being served, too.
type Server struct {
	mu       sync.Mutex
	set      settings
	commits  []Commit
	sent     map[string][]Commit // by uuid
	requests []Request
	overlaps []string        // of requests, one sentence each
	pause    *Pause          // of the next answer
	changed  chan struct{}   // closed and replaced whenever something has happened
	serving  context.Context // of all requests and pauses, ended and replaced by Close
	end      context.CancelFunc
	http     *httptest.Server
	url      string
}

// settings are what the server was told to do.
type settings struct {
	once       []Fault
	then, same Fault // same is that of a request by capture v1, for the one to /batch/ that may follow
	latency    time.Duration
	withoutV1  bool
	results    func(Message) string
	watch      func(any)
}

// Request is one HTTP request, whatever came of it.
type Request struct {
	Number            int    // from 1, in the order in which requests began
	Events, Committed int    // that it brought as far as it could be read, and that were kept, repeats included
	Fault             Fault  // that the script had for it
	Status            int    // of the answer, 0 without one
	Refusal           string // why the server itself refused the request, if it did; then Fault was not acted out
}

// Pause holds one request before the first byte of its answer, or before its fault.
type Pause struct {
	reached chan struct{}
	over    context.Context
	release context.CancelFunc
}

// Reached is closed once the request waits.
func (p *Pause) Reached() <-chan struct{} { return p.reached }

// Release lets the request go on, or not stop at all. It can be called more than once.
func (p *Pause) Release() { p.release() }

// NewServer returns a healthy server that does not listen yet.
func NewServer() *Server {
	s := &Server{
		set:  settings{watch: func(any) {}, results: func(Message) string { return "" }},
		sent: map[string][]Commit{}, changed: make(chan struct{}),
	}
	s.serving, s.end = context.WithCancel(context.Background())
	return s
}

// Start returns a server that listens on a free port of 127.0.0.1 until the test ends.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := NewServer()
	if err := s.Listen("127.0.0.1:0"); err != nil {
		tb.Fatalf("start the fake capture endpoint: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

func locked[T any](s *Server, f func() T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

// do runs f with the lock held and wakes up every AwaitEvents.
func (s *Server) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// SetFaults makes each of the next deliveries fail in one of these ways, in this order, and all later ones
// succeed. A delivery is a request by capture v1, and the one to /batch/ that may follow it.
func (s *Server) SetFaults(once ...Fault) { s.SetFault("", once...) }

// SetFault makes every delivery fail in this way, after one each in those of once.
func (s *Server) SetFault(then Fault, once ...Fault) {
	s.do(func() { s.set.then, s.set.once, s.set.same = then, slices.Clone(once), "" })
}

// SetLatency makes every answer wait for d, after the events were kept.
func (s *Server) SetLatency(d time.Duration) { s.do(func() { s.set.latency = d }) }

// SetWithoutV1 makes the server an older PostHog, which has /batch/ only.
func (s *Server) SetWithoutV1(on bool) { s.do(func() { s.set.withoutV1 = on }) }

// SetResults gives a test the say what becomes of a message: "" or "ok", "warning", "retry" or "drop:TAG".
// /batch/ refuses all for a drop, with 413 for event_too_big and else with 400.
func (s *Server) SetResults(of func(Message) string) { s.do(func() { s.set.results = of }) }

// Watch tells f what happens while it happens: each [Commit], and each [Request] before the first byte of its
// answer or before its fault. f is called by the goroutines that serve the requests, and may call the server.
func (s *Server) Watch(f func(any)) { s.do(func() { s.set.watch = f }) }

// PauseNext makes the next request wait, once its events were kept, until it is released or the server closes, also
// when its client has left.
func (s *Server) PauseNext() *Pause {
	p := &Pause{reached: make(chan struct{})}
	s.do(func() {
		p.over, p.release = context.WithCancel(s.serving)
		s.pause = p
	})
	return p
}

// Commits returns everything that was kept, repeats included, in order.
func (s *Server) Commits() []Commit {
	return locked(s, func() []Commit { return slices.Clip(s.commits) })
}

// Requests returns every request that has begun, the unfinished ones, too.
func (s *Server) Requests() []Request {
	return locked(s, func() []Request { return slices.Clone(s.requests) })
}

// Violations returns what a sender must never do and has done, one sentence each.
func (s *Server) Violations() []string {
	return locked(s, func() []string { return append(judge(s.commits), s.overlaps...) })
}

// Events returns what PostHog shows after it has folded the repeats, in order, aliases included.
func (s *Server) Events() []Commit {
	return slices.DeleteFunc(slices.Clone(s.Commits()), func(c Commit) bool { return c.Repeat })
}

// AwaitEvents returns when n events, repeats folded, have been kept. The error is that of ctx, with what was seen.
func (s *Server) AwaitEvents(ctx context.Context, n int) error {
	for {
		changed := locked(s, func() chan struct{} { return s.changed })
		if len(s.Events()) >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("PostHog has %d events from %d requests, and more are awaited: %w",
				len(s.Events()), len(s.Requests()), ctx.Err())
		}
	}
}

// Listen serves on a TCP address such as "127.0.0.1:0" until [Server.Close]. Afterwards the server can
// listen again, on the same address if need be, and still knows everything.
func (s *Server) Listen(address string) error { return s.listen(address, (*httptest.Server).Start) }

// ListenTLS is [Server.Listen] with TLS. The certificate is for 127.0.0.1 and ::1, see [Server.CAPEM].
func (s *Server) ListenTLS(address string) error {
	return s.listen(address, (*httptest.Server).StartTLS)
}

func (s *Server) listen(address string, start func(*httptest.Server)) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	serving := s.serving
	s.http = &httptest.Server{Listener: listener, Config: &http.Server{
		Handler: s, ErrorLog: log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return serving },
	}}
	start(s.http)
	s.url = s.http.URL
	return nil
}

// URL is where the server listens or has listened last, without a path: http://127.0.0.1:8377.
func (s *Server) URL() string { return locked(s, func() string { return s.url }) }

// CAPEM is the certificate of the authority behind [Server.ListenTLS]. No system trusts it; a test writes it to a
// file and names that in SSL_CERT_FILE.
func (s *Server) CAPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
}

// Close stops to listen, cuts all connections, lets go of every request that hangs or pauses, and returns
// when no request is left. What was kept stays. It can be called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	server := s.http
	s.http = nil
	s.end()
	s.serving, s.end = context.WithCancel(context.Background())
	s.mu.Unlock()
	if server != nil {
		server.CloseClientConnections()
		server.Close()
	}
}
