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

// dropOverflow makes room for the message that was just added as seq. A look at the oldest
// one is enough: numbers are given without gaps, from 1 on. It drops one for one: a single flipped
// bit in the last number given would otherwise empty the queue.
func dropOverflow(ctx context.Context, tx *sql.Tx, seq int64) error {
	if seq <= maxPending {
		return nil
	}
	var oldest sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT min(seq) FROM messages WHERE state = 'pending'`).Scan(&oldest)
	if err != nil {
		return fmt.Errorf("read oldest message: %w", err)
	}
	if !oldest.Valid || seq-oldest.Int64 < maxPending {
		return nil
	}
	return dropTx(ctx, tx, `seq = (SELECT seq FROM messages
		WHERE state = 'pending' AND kind = 'capture' AND seq <= ? ORDER BY seq LIMIT 1)`, seq-maxPending)
}

// dropTx deletes and counts the events that meet the condition.
func dropTx(ctx context.Context, tx *sql.Tx, condition string, args ...any) error {
	result, err := tx.ExecContext(ctx, `DELETE FROM messages WHERE kind = 'capture' AND `+condition, args...)
	if err != nil {
		return fmt.Errorf("drop messages: %w", err)
	}
	dropped, err := result.RowsAffected()
	if err != nil || dropped == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE delivery SET dropped = dropped + ?`, dropped)
	return err
}

// housekeep drops what is too old, gives pages back and truncates the WAL. It writes last of
// all, into the empty WAL: SQLite syncs a WAL's first write, header and frames apart, which
// the next command would otherwise have to wait for.
func (o *Outbox) housekeep(ctx context.Context) error {
	now := o.cfg.Now()
	err := o.WithLock(ctx, func() error {
		o.cfg.Point("housekeeping")
		var seen time.Time
		err := o.InTx(ctx, func(tx *sql.Tx) (err error) {
			seen, err = dropOldTx(ctx, tx, now)
			return err
		})
		if err != nil {
			return err
		}
		err = o.mending(ctx, func() error { return o.shrink(ctx, housekeepingPages, 0) })
		if err != nil {
			return err
		}
		return o.InTx(ctx, func(tx *sql.Tx) error { return housekeptTx(ctx, tx, seen) })
	})
	if err != nil {
		return fmt.Errorf("housekeeping: %w", err)
	}
	return nil
}

// dropOldTx returns the time from which on the clock has to prove itself again.
func dropOldTx(ctx context.Context, tx *sql.Tx, now time.Time) (seen time.Time, err error) {
	var last sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT housekept_at FROM delivery`).Scan(&last); err != nil {
		return now, err
	}
	since := now.Sub(time.UnixMilli(last.Int64))
	switch {
	case !last.Valid || since < 0 || since > maxPause:
		return now, nil
	case since < steadyClock:
		return time.UnixMilli(last.Int64), nil
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM messages WHERE state = 'delivered' AND settled_at < ?`,
		now.Add(-receiptAge).UnixMilli())
	if err != nil {
		return now, err
	}
	for _, state := range []State{Pending, Dead} {
		err := dropTx(ctx, tx, `recorded_at < ? AND seq IN
			(SELECT seq FROM messages WHERE state = ? ORDER BY seq LIMIT ?)`,
			now.Add(-maxAge).UnixMilli(), state, housekeepingRows)
		if err != nil {
			return now, err
		}
	}
	return now, nil
}

func housekeptTx(ctx context.Context, tx *sql.Tx, seen time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE delivery SET housekept_at = ?`, seen.UnixMilli())
	return err
}

// shrink gives up to the given number of pages back to the file system, and the WAL, unless
// somebody still reads it after the wait. Who waits for readers holds up every writer.
// incremental_vacuum yields a row per page, and works only as far as the rows are read.
func (o *Outbox) shrink(ctx context.Context, pages int, wait time.Duration) error {
	if err := o.open(ctx); err != nil {
		return err
	}
	for _, statement := range []string{
		fmt.Sprintf("PRAGMA incremental_vacuum(%d)", pages),
		fmt.Sprintf("PRAGMA busy_timeout = %d", wait.Milliseconds()),
		"PRAGMA wal_checkpoint(TRUNCATE)",
		fmt.Sprintf("PRAGMA busy_timeout = %d", o.cfg.BusyWait.Milliseconds()),
	} {
		o.cfg.Point("before-shrink")
		rows, err := o.db.QueryContext(ctx, statement)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		if err := rows.Close(); err != nil {
			return err
		}
	}
	return nil
}
