package outbox

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// Tx is a transaction of the queue and of the embedder's tables. It ends when the function returns that it
// was given to: an error undoes everything.
type Tx struct {
	*sql.Tx
	now      time.Time // one for the whole transaction
	sink     Sink      // or nil
	mayAdd   bool      // by the environment and the switch
	schedule Schedule
	machines string // those that the database knows, see arrive
	isFirst  bool   // no message was ever added
	// steadySince is since when the clock has advanced without a jump, see housekeep.
	steadySince time.Time

	added     int
	addedHeld bool // one of them is held
	after     []func() error
}

// Schedule is when the next delivery may begin, and why not earlier.
type Schedule struct {
	Failures     int       // consecutive runs that left messages pending
	FailingSince time.Time // when the first of them ended
	NotBefore    time.Time // our own back-off
	RetryAfter   time.Time // what the server asked for
	WaitingUntil time.Time // a flusher was started that begins its work by then
	LastError    string    // why the last run ended early, in fixed words
	LastCode     string    // the same as an identifier, see Verdict
	LastSuccess  time.Time // when a server last accepted a message
}

// longestWait is the longest Retry-After that is respected, and so the longest wait of all.
const longestWait = time.Hour

// Next returns the time before which no flusher starts; zero means at once.
func (s Schedule) Next(now time.Time) time.Time {
	next, retry := ahead(s.NotBefore, now), ahead(s.RetryAfter, now)
	if retry.After(next) {
		return retry
	}
	return next
}

// Waiting reports whether a flusher waits for a back-off to end, or for the flusher at work.
func (s Schedule) Waiting(now time.Time) bool { return !ahead(s.WaitingUntil, now).IsZero() }

// ahead returns the end of a wait, zero when it is over. A wait longer than the longest possible one was stored
// under another clock and counts as over.
func ahead(until, now time.Time) time.Time {
	if !until.After(now) || until.Sub(now) > longestWait {
		return time.Time{}
	}
	return until
}

// read reads in one statement what every transaction needs.
func (tx *Tx) read(ctx context.Context) error {
	s := &tx.schedule
	err := tx.QueryRowContext(ctx, `
		SELECT failures, failing_since, not_before, retry_after, waiting_until, coalesce(last_error, ''),
		       coalesce(last_code, ''), last_success_at, housekept_at,
		       NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'messages'),
		       (SELECT coalesce(group_concat(mark || ' ' || seen_at, ' '), '') FROM machines)
		FROM delivery`).
		Scan(&s.Failures, (*moment)(&s.FailingSince), (*moment)(&s.NotBefore), (*moment)(&s.RetryAfter), (*moment)(&s.WaitingUntil),
			&s.LastError, &s.LastCode, (*moment)(&s.LastSuccess), (*moment)(&tx.steadySince), &tx.isFirst, &tx.machines)
	if err != nil {
		return fmt.Errorf("read schedule: %w", err)
	}
	return nil
}

// Commit is disabled: the transaction ends when its function returns.
func (tx *Tx) Commit() error { return errNotYours }

// Rollback is disabled: return an error from the function instead.
func (tx *Tx) Rollback() error { return errNotYours }

// Now returns the time of the transaction: everything that is written in it has the same.
func (tx *Tx) Now() time.Time { return tx.now }

// Schedule returns when the next delivery may begin, and why not earlier.
func (tx *Tx) Schedule() Schedule { return tx.schedule }

// AfterCommit runs fn, unless it is nil, after the commit, with the write lock still held: what fn does outside
// the database, such as exporting a file, happens in the order of the commits. Its error undoes nothing.
func (tx *Tx) AfterCommit(fn func() error) {
	if fn != nil {
		tx.after = append(tx.after, fn)
	}
}

// committed runs what AfterCommit was given.
func (tx *Tx) committed() (err error) {
	for _, fn := range tx.after {
		err = errors.Join(err, fn())
	}
	return err
}

// exec executes a statement and returns how many rows it changed. The error says what it was doing.
func (tx *Tx) exec(ctx context.Context, doing, statement string, args ...any) (rows int, err error) {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// setWaiting stores until when a flusher that was started will have begun its work.
func (tx *Tx) setWaiting(ctx context.Context, until time.Time) error {
	_, err := tx.exec(ctx, "note the flusher", `UPDATE delivery SET waiting_until = ?`, moment(until))
	return err
}

// moment is a time in a column: Unix milliseconds, or NULL.
type moment time.Time

// Scan reads a column. NULL, and the 0 of earlier versions, are the zero time.
func (m *moment) Scan(column any) error {
	*m = moment{}
	if ms, _ := column.(int64); ms != 0 {
		*m = moment(time.UnixMilli(ms).UTC())
	}
	return nil
}

// Value makes a column of the time.
func (m moment) Value() (driver.Value, error) {
	if time.Time(m).IsZero() {
		return nil, nil
	}
	return time.Time(m).UnixMilli(), nil
}
