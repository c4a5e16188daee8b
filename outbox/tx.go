package outbox

import (
	"context"
	"database/sql"
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
	// housekept is since when the clock has advanced without a jump, see steady.
	housekept sql.NullInt64

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
	var since, failing, notBefore, retryAfter, waiting, success sql.NullInt64
	s := &tx.schedule
	err := tx.QueryRowContext(ctx, `
		SELECT failures, failing_since, not_before, retry_after, waiting_until, coalesce(last_error, ''),
		       coalesce(last_code, ''), last_success_at, housekept_at, since,
		       (SELECT coalesce(group_concat(mark || ' ' || seen_at, ' '), '') FROM machines)
		FROM delivery LEFT JOIN consent`).
		Scan(&s.Failures, &failing, &notBefore, &retryAfter, &waiting, &s.LastError, &s.LastCode, &success,
			&tx.housekept, &since, &tx.machines)
	if err != nil {
		return fmt.Errorf("read schedule: %w", err)
	}
	s.FailingSince, s.LastSuccess = fromMillis(failing), fromMillis(success)
	s.NotBefore, s.RetryAfter, s.WaitingUntil = fromMillis(notBefore), fromMillis(retryAfter), fromMillis(waiting)
	if tx.consent.On {
		tx.consent.Since = fromMillis(since)
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

func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

func fromMillis(ms sql.NullInt64) time.Time {
	if !ms.Valid || ms.Int64 == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
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
