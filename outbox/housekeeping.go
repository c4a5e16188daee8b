package outbox

import (
	"context"
	"fmt"
	"time"
)

const (
	// steadyClock is how long the clock must have gone on, and maxPause the longest time it may
	// not have been looked at meanwhile, before anything is dropped for its age: a clock that
	// jumped a year must not empty the queue, however many commands run until it is set right.
	steadyClock = 24 * time.Hour
	maxPause    = 7 * 24 * time.Hour
	// pagesAtOnce bounds what one run gives back, so that it takes milliseconds.
	pagesAtOnce = 256
	// shortWAL is the size of a WAL, in bytes, that is left as it is. Each command reads all of it, which
	// takes 0.1 ms; to truncate it takes three syncs and 1.2 ms of CPU.
	shortWAL = 128 << 10
)

// housekeep drops what is too old, gives pages back and truncates the WAL, when it is time for one of
// them. It writes last of all, into the empty WAL: SQLite syncs a WAL's first write, header and
// frames apart, which the next command would otherwise have to wait for.
func (d *delivery) housekeep(ctx context.Context) error {
	steady := d.steady()
	aging := steady < 0 || steady >= steadyClock
	if !aging && d.outbox.store.WALSize() <= shortWAL && !d.outbox.store.IsTight() {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // it is local and bounded
	err := d.outbox.store.Locked(ctx, func() error {
		d.outbox.cfg.Point("housekeeping")
		if steady >= steadyClock {
			if d.outbox.GivenUp().Up == 0 { // or it was too long ago
				d.outbox.forgetNotes()
			}
			if err := d.outbox.Update(ctx, func(tx *Tx) error { return tx.dropOld(ctx) }); err != nil {
				return err
			}
		}
		if err := d.outbox.store.Shrink(ctx, pagesAtOnce, 0); err != nil {
			return err
		}
		return d.outbox.Update(ctx, func(tx *Tx) error { return d.noteHousekeeping(ctx, tx, aging) })
	})
	if err != nil {
		return fmt.Errorf("housekeeping: %w", err)
	}
	return nil
}

// noteHousekeeping notes since when the clock has gone on: from now on, when it has to prove itself
// anew or has been made use of.
func (d *delivery) noteHousekeeping(ctx context.Context, tx *Tx, now bool) error {
	since := d.housekept.Int64
	if now {
		since = tx.now.UnixMilli()
	}
	_, err := tx.ExecContext(ctx, `UPDATE delivery SET housekept_at = ?`, since)
	return err
}

// steady tells for how long the clock has gone on, or -1 when it has to prove itself anew.
func (d *delivery) steady() time.Duration {
	since := d.outbox.cfg.Now().Sub(time.UnixMilli(d.housekept.Int64))
	if !d.housekept.Valid || since < 0 || since > maxPause {
		return -1
	}
	return since
}
