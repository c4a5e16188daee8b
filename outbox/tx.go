package outbox

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/machine"
)

// Tx is a transaction of the queue and of the embedder's tables. It ends when the function returns that it
// was given to: an error undoes everything.
type Tx struct {
	*sql.Tx
	now      time.Time // one for the whole transaction
	newUUID  func() string
	sink     Sink // or nil
	mayAdd   bool // by the environment and the switch
	consent  Consent
	schedule Schedule
	machines string // those that the database knows, see noteMachine
	// steadySince is since when the clock has advanced without a jump, see housekeep.
	steadySince time.Time

	added     int
	addedHeld bool // one of them is held
	after     []func() error
}

// Consent is whether usage may be recorded and sent, by what Enable and Disable left.
type Consent struct {
	On    bool
	Since time.Time // of Disable, or of the first message; zero while nothing was recorded
}

// read reads in one statement what every transaction needs.
func (tx *Tx) read(ctx context.Context) error {
	s := &tx.schedule
	var since moment
	err := tx.QueryRowContext(ctx, `
		SELECT failures, failing_since, not_before, retry_after, waiting_until, coalesce(last_error, ''),
		       coalesce(last_code, ''), last_success_at, housekept_at, since,
		       (SELECT coalesce(group_concat(mark || ' ' || seen_at, ' '), '') FROM machines)
		FROM delivery LEFT JOIN consent`).
		Scan(&s.Failures, (*moment)(&s.FailingSince), (*moment)(&s.NotBefore), (*moment)(&s.RetryAfter), (*moment)(&s.WaitingUntil),
			&s.LastError, &s.LastCode, (*moment)(&s.LastSuccess), (*moment)(&tx.steadySince), &since, &tx.machines)
	if err != nil {
		return fmt.Errorf("read schedule: %w", err)
	}
	if tx.consent.On {
		tx.consent.Since = time.Time(since)
	}
	return nil
}

// Commit is disabled: the transaction ends when its function returns.
func (tx *Tx) Commit() error { return errNotYours }

// Rollback is disabled: return an error from the function instead.
func (tx *Tx) Rollback() error { return errNotYours }

// Now returns the time of the transaction: everything that is written in it has the same.
func (tx *Tx) Now() time.Time { return tx.now }

// Consent returns whether usage may be recorded according to Enable and Disable, without regard to the
// environment.
func (tx *Tx) Consent() Consent { return tx.consent }

// Schedule returns when the next delivery may begin, and why not earlier.
func (tx *Tx) Schedule() Schedule { return tx.schedule }

// AfterCommit runs fn after the commit, with the write lock still held: what fn does outside the database,
// such as exporting a file, happens in the order of the commits. Its error undoes nothing.
func (tx *Tx) AfterCommit(fn func() error) { tx.after = append(tx.after, fn) }

// committed runs what AfterCommit was given.
func (tx *Tx) committed() (err error) {
	for _, fn := range tx.after {
		err = errors.Join(err, fn())
	}
	return err
}

// change executes a statement and returns how many rows it changed.
func (tx *Tx) change(ctx context.Context, statement string, args ...any) (rows int64, err error) {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
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

const (
	maxMachines = 50
	// seenAgain is for how long a machine is not stored again: most transactions write nothing here.
	seenAgain = 24 * time.Hour
)

// noteMachine adds this machine to those that the database knows, and reports whether the database
// came from another one, in a copied home: then there are two of it, and what both hold may be decided
// differently. Machines that share a home are all known. A home that was copied onto a machine that it
// knows looks like a shared one.
func (tx *Tx) noteMachine(ctx context.Context) (moved bool, err error) {
	id := machine.ID()
	if id == "" {
		return false, nil
	}
	mark, known := "", strings.Fields(tx.machines) // mark, time, mark, time ...
	for i := 0; i+1 < len(known); i += 2 {
		if !machine.IsMark(known[i], id) {
			continue
		}
		if seen, _ := strconv.ParseInt(known[i+1], 10, 64); tx.now.Sub(time.UnixMilli(seen)).Abs() < seenAgain {
			return false, nil
		}
		mark = known[i]
	}
	isNew := mark == ""
	if isNew {
		mark = machine.NewMark(id)
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO machines (mark, seen_at) VALUES (?1, ?2) ON CONFLICT (mark) DO UPDATE SET seen_at = ?2;
		DELETE FROM machines WHERE mark NOT IN (SELECT mark FROM machines ORDER BY seen_at DESC LIMIT ?3)`,
		mark, tx.now.UnixMilli(), maxMachines)
	if err != nil {
		return false, fmt.Errorf("note the machine: %w", err)
	}
	return isNew && len(known) > 0, nil
}
