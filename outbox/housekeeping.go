package outbox

import (
	"context"
	"fmt"
	"time"
)

const (
	// Messages are dropped for their age only when the clock was seen to advance for steadyClock without a
	// gap of maxPause: a clock that jumped a year must not empty the queue, however many commands run until
	// it is set right.
	steadyClock = 24 * time.Hour
	maxPause    = 7 * 24 * time.Hour
	// pagesAtOnce bounds how many pages one run returns to the file system, so that it takes milliseconds.
	pagesAtOnce = 256
	// shortWAL is the size, in bytes, up to which a WAL is left alone. Each command reads all of it in
	// 0.1 ms; truncating it costs three syncs and 1.2 ms of CPU.
	shortWAL = 128 << 10
)

// housekeep drops old messages, returns free pages and truncates the WAL, when one of these is due. Its last
// write goes into the empty WAL: SQLite syncs the first write of a WAL twice, and the next command would
// otherwise wait for that.
func (d *delivery) housekeep(ctx context.Context) error {
	steady := d.steady()
	aging := steady < 0 || steady >= steadyClock
	if !aging && d.outbox.store.WALSize() <= shortWAL && !d.outbox.store.IsAlmostFull() {
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
		if err := d.outbox.store.Shrink(ctx, pagesAtOnce); err != nil {
			return err
		}
		return d.outbox.Update(ctx, func(tx *Tx) error { return d.noteHousekeeping(ctx, tx, aging) })
	})
	if err != nil {
		return fmt.Errorf("housekeeping: %w", err)
	}
	return nil
}

// noteHousekeeping stores since when the clock has been steady: from now on, if it was not or if messages
// have been dropped by it.
func (d *delivery) noteHousekeeping(ctx context.Context, tx *Tx, anew bool) error {
	since := d.housekept.Int64
	if anew {
		since = tx.now.UnixMilli()
	}
	_, err := tx.ExecContext(ctx, `UPDATE delivery SET housekept_at = ?`, since)
	return err
}

// steady returns for how long the clock has advanced without a jump, or -1 after one.
func (d *delivery) steady() time.Duration {
	since := d.outbox.cfg.Now().Sub(time.UnixMilli(d.housekept.Int64))
	if !d.housekept.Valid || since < 0 || since > maxPause {
		return -1
	}
	return since
}
