package outboxtest

import (
	"context"
	"slices"
	"time"
)

// grace is how long the kernel and net/http may take to tell us that a client has left. A
// client that was killed, or has given up, may be succeeded by the next one before that. It
// is generous because only requests that do overlap wait for it, and a machine that runs
// torture tests is slow.
const grace = 2 * time.Second

// flight is a request between its begin and the last bytes of its answer.
type flight struct {
	number int
	ctx    context.Context // done when the client has left
	landed chan struct{}
	left   bool // the client was gone before it landed; read it after landed is closed
}

func newFlight(number int, ctx context.Context) *flight {
	return &flight{number: number, ctx: ctx, landed: make(chan struct{})}
}

// stillOn says, when the next request has begun, whether the client of this one still waits
// for its answer, so that the two overlap.
func (f *flight) stillOn() bool {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-f.landed:
	case <-f.ctx.Done():
	case <-timer.C:
		return true
	}
	select {
	case <-f.landed: // net/http ends the context of an answered request, too
		return !f.left
	default:
		return false
	}
}

// land takes a flight out of the air.
func (s *Server) land(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.left = f.ctx.Err() != nil
	close(f.landed)
	s.flights = slices.DeleteFunc(slices.Clone(s.flights), func(other *flight) bool { return other == f })
	s.happened()
}
