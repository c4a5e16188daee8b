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
	Held      int  `json:"held"`      // of Pending, aliases that wait for Arcade Cloud to name the account
	Refused   bool `json:"-"`         // Arcade Cloud refuses the credentials
}

// Flush delivers what waits. The error is why messages are left that could be sent: outbox.ErrBusy, an *outbox.Delay,
// an *OffError, or what is wrong with the database. Progress gets the numbers of settled messages and of all.
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

// mended is a snapshot that first has a damaged database replaced; Snapshot changes nothing. It finds damage, too,
// where no delivery reads. The error can be an *OffError.
func (q *Queue) mended(ctx context.Context) (Snapshot, error) {
	newest := outbox.Filter{Limit: 1}
	s, err := q.Snapshot(ctx, newest)
	if errors.Is(err, outbox.ErrDamaged) && q.t.Off(s.Consent) == nil {
		// A transaction that may write replaces the database, and reads the replacement.
		err = q.Update(ctx, q.look(ctx, newest, s.take))
	}
	if off := q.t.Off(s.Consent); err == nil && off != nil {
		return s, off
	}
	return s, err
}
