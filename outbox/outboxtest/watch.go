package outboxtest

import "sync"

// Watcher is told what happens while it happens. Each function may be nil. They are called
// by the goroutines that serve the requests, so by several at once if requests overlap, and
// without a lock: they may call the server. To hold a request up use [Server.PauseNext].
type Watcher struct {
	// Committed is told of each message that was kept.
	Committed func(Commit)
	// Answering is told of each request before the first byte of its answer, and before its
	// fault is acted out. Status, Fault, Refusal and Committed are filled in.
	Answering func(Request)
	// Violated is told of each violation once, in a sentence.
	Violated func(string)
	// Trouble is told, in a line, of connections that fail before they are a request: a TLS
	// handshake, a broken header.
	Trouble func(string)
}

// Watch replaces the watcher.
func (s *Server) Watch(w Watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watcher = w
}

func (s *Server) watching() Watcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watcher
}

func (w Watcher) committed(c Commit) {
	if w.Committed != nil {
		w.Committed(c)
	}
}

func (w Watcher) answering(r Request) {
	if w.Answering != nil {
		w.Answering(r)
	}
}

func (w Watcher) violated(sentence string) {
	if w.Violated != nil {
		w.Violated(sentence)
	}
}

func (w Watcher) trouble(line string) {
	if w.Trouble != nil {
		w.Trouble(line)
	}
}

// Point is a place in the life of a request at which a test can hold it.
type Point string

const (
	// AfterRead is when the whole body has been read and nothing was done with it.
	AfterRead Point = "after read"
	// AfterCommit is when the batch has been kept and nothing was answered. A request that
	// keeps nothing does not pass here.
	AfterCommit Point = "after commit"
	// BeforeAnswer is right before the first byte of the answer, or the fault instead of it.
	BeforeAnswer Point = "before answer"
)

// Pause holds one request at a point.
type Pause struct {
	reached chan Request
	release chan struct{}
	once    sync.Once
}

// PauseNext makes the next request that gets to the point wait there until it is released or
// the server closes. It waits even when its client has left, and then goes on as a real
// server does that has read the body. Called again, it is for the request after that.
func (s *Server) PauseNext(at Point) *Pause {
	p := &Pause{reached: make(chan Request, 1), release: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pauses[at] = append(s.pauses[at], p)
	return p
}

// Reached delivers the request once it waits.
func (p *Pause) Reached() <-chan Request { return p.reached }

// Release lets the request go on, or not stop at all. It can be called more than once.
func (p *Pause) Release() { p.once.Do(func() { close(p.release) }) }

// pass stops at the point if a test wants that.
func (x *exchange) pass(at Point) {
	s := x.server
	s.mu.Lock()
	var p *Pause
	if waiting := s.pauses[at]; len(waiting) > 0 {
		p, s.pauses[at] = waiting[0], waiting[1:]
	}
	s.mu.Unlock()
	if p == nil {
		return
	}
	p.reached <- x.record
	select {
	case <-p.release:
	case <-x.closing:
	}
}
