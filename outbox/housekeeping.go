package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// The caps of the database. Aliases are never dropped: they are few, and what was recorded
// before one would for ever belong to nobody.
const (
	maxPending  = 100_000
	dropAtOnce  = 200 // fewer than one command in a hundred drops them
	maxReceipts = 500
	maxAge      = 90 * 24 * time.Hour
	receiptAge  = 7 * 24 * time.Hour
	// steadyClock is how long the clock must have gone on, and maxPause the longest time it may
	// not have been looked at meanwhile, before anything is dropped for its age: a clock that
	// jumped a year must not empty the queue, however many commands run until it is set right.
	steadyClock = 24 * time.Hour
	maxPause    = 7 * 24 * time.Hour
	// housekeepingRows and housekeepingPages bound one run, so that it takes milliseconds.
	housekeepingRows  = 5000
	housekeepingPages = 256
)

// dropOverflow makes room for the message that was just added as seq. As long as the oldest one that
// waits is less than that many numbers behind, the queue cannot be full, and nothing is counted. A full queue
// loses some events at once, so that most commands find room.
func (tx *Tx) dropOverflow(ctx context.Context, seq int64) error {
	if seq <= maxPending {
		return nil
	}
	var full bool
	err := tx.QueryRowContext(ctx, `
		SELECT CASE WHEN ?1 - min(seq) < ?2 THEN 0 ELSE
			(SELECT count(*) FROM messages WHERE state = 'pending') > ?2 END
		FROM messages WHERE state = 'pending'`, seq, maxPending).Scan(&full)
	if err != nil {
		return fmt.Errorf("count messages: %w", err)
	}
	if !full {
		return nil
	}
	return tx.drop(ctx, `seq IN (SELECT seq FROM messages
		WHERE state = 'pending' AND kind = 'capture' ORDER BY seq LIMIT ?)`, dropAtOnce)
}

// drop deletes and counts the events that meet the condition.
func (tx *Tx) drop(ctx context.Context, condition string, args ...any) error {
	dropped, err := tx.change(ctx, `DELETE FROM messages WHERE kind = 'capture' AND `+condition, args...)
	if err != nil {
		return fmt.Errorf("drop messages: %w", err)
	}
	if dropped == 0 {
		return nil
	}
	_, err = tx.ExecContext(ctx, `UPDATE delivery SET dropped = dropped + ?`, dropped)
	return err
}

// shortWAL is the size of a WAL, in bytes, that is left as it is. Each command reads all of it, which
// takes 0.1 ms; to truncate it takes three syncs and 1.2 ms of CPU.
const shortWAL = 128 << 10

// housekeep drops what is too old, gives pages back and truncates the WAL, when it is time for one of
// them. It writes last of all, into the empty WAL: SQLite syncs a WAL's first write, header and
// frames apart, which the next command would otherwise have to wait for.
func (o *Outbox) housekeep(ctx context.Context, last sql.NullInt64) error {
	if steady := o.steadySince(last); steady >= 0 && steady < steadyClock && o.store.WALSize() <= shortWAL && !o.store.IsTight() {
		return nil
	}
	err := o.store.Locked(ctx, func() error {
		o.cfg.Point("housekeeping")
		var seen time.Time
		err := o.Update(ctx, func(tx *Tx) (err error) {
			seen, err = tx.dropOld(ctx)
			return err
		})
		if err != nil {
			return err
		}
		if err := o.store.Shrink(ctx, housekeepingPages, 0); err != nil {
			return err
		}
		return o.Update(ctx, func(tx *Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE delivery SET housekept_at = ?`, seen.UnixMilli())
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("housekeeping: %w", err)
	}
	return nil
}

// steadySince tells for how long the clock has gone on, or -1 when it has to prove itself anew.
func (o *Outbox) steadySince(last sql.NullInt64) time.Duration {
	since := o.cfg.Now().Sub(time.UnixMilli(last.Int64))
	if !last.Valid || since < 0 || since > maxPause {
		return -1
	}
	return since
}

// dropOld returns the time from which on the clock has to prove itself again.
func (tx *Tx) dropOld(ctx context.Context) (seen time.Time, err error) {
	switch steady := tx.outbox.steadySince(tx.housekept); {
	case steady < 0:
		return tx.now, nil
	case steady < steadyClock:
		return time.UnixMilli(tx.housekept.Int64), nil
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM messages WHERE state = 'delivered' AND settled_at < ?`,
		tx.now.Add(-receiptAge).UnixMilli())
	if err != nil {
		return tx.now, err
	}
	for _, state := range []State{Pending, Dead} {
		err := tx.drop(ctx, `recorded_at < ? AND seq IN
			(SELECT seq FROM messages WHERE state = ? ORDER BY seq LIMIT ?)`,
			tx.now.Add(-maxAge).UnixMilli(), state, housekeepingRows)
		if err != nil {
			return tx.now, err
		}
	}
	return tx.now, nil
}
