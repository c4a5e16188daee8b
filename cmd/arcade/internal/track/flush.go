package track

import (
	"context"
	"errors"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Flushed is what Flush has done, as `usage flush --json` has it.
type Flushed struct {
	Delivered int  `json:"delivered"` // by this run
	Pending   int  `json:"pending"`   // left
	Dead      int  `json:"dead"`      // refused for good in this run
	Held      int  `json:"held"`      // of Pending, aliases that wait for Arcade Cloud's word on who you are, and for no network
	Refused   bool `json:"-"`         // Arcade Cloud does not take the credentials
}

// Flush delivers what waits and returns when nothing is left that could be sent, or why something is: outbox.ErrBusy,
// an *outbox.Delay, an *OffError, or what is wrong with the database. Progress is told how many of how many are settled.
func (q *Queue) Flush(ctx context.Context, timeout time.Duration, progress func(settled, total int)) (done Flushed, err error) {
	before, err := q.mended(ctx)
	if err != nil {
		return done, err
	}
	var total outbox.Result
	var why error
	if pending := before.Counts.Pending; pending > 0 {
		progress(0, pending) // the first answer may take a while
		limited, cancel := context.WithTimeout(ctx, timeout)
		total, why = q.Outbox.Flush(limited, outbox.FlushOptions{
			Progress: func(r outbox.Result) { progress(r.Delivered+r.Dead, pending) },
		})
		cancel()
	}
	if ctx.Err() != nil {
		return done, ctx.Err()
	}
	after, err := q.mended(ctx)
	if err != nil {
		return done, err
	}
	done = Flushed{
		Delivered: total.Delivered, Dead: total.Dead, Pending: after.Counts.Pending,
		Held: after.Counts.HeldAliases, Refused: after.Refused,
	}
	if done.Pending == done.Held {
		return done, nil
	}
	return done, why
}

// mended is a snapshot that has a damaged database mended first, which one that only looks does not. What
// it reads may lie where no delivery looks. The error can be an *OffError.
func (q *Queue) mended(ctx context.Context) (Snapshot, error) {
	newest := outbox.Filter{Limit: 1}
	s, err := q.Snapshot(ctx, newest)
	if errors.Is(err, outbox.ErrDamaged) && q.t.Off(s.Consent) == nil {
		// What meets the damage in a transaction that may write gets the replacement to read.
		err = q.Update(ctx, q.look(ctx, newest, s.take))
	}
	if off := q.t.Off(s.Consent); err == nil && off != nil {
		return s, off
	}
	return s, err
}
