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
	steady := d.cfg.Now().Sub(d.steadySince)
	jumped := steady < 0 || steady > maxPause
	aged := !jumped && steady >= steadyClock
	if !jumped && !aged && d.store.WALSize() <= shortWAL && !d.store.IsAlmostFull() {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // it is local and bounded
	err := d.store.Locked(ctx, func() error {
		d.cfg.Point("housekeeping")
		if aged {
			if d.GivenUp().Up == 0 { // or it was too long ago
				d.forgetNotes()
			}
			if err := d.Update(ctx, func(tx *Tx) error { return tx.dropOld(ctx) }); err != nil {
				return err
			}
		}
		if err := d.store.Shrink(ctx, pagesAtOnce); err != nil {
			return err
		}
		return d.Update(ctx, func(tx *Tx) error {
			since := d.steadySince
			if jumped || aged {
				since = tx.now
			}
			_, err := tx.exec(ctx, "note the time", `UPDATE delivery SET housekept_at = ?`, moment(since))
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("housekeeping: %w", err)
	}
	return nil
}
