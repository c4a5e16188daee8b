package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Tx is a transaction of the queue and of the embedder's tables. It ends with the function that it
// is given to: an error undoes everything.
type Tx struct {
	*sql.Tx
	outbox   *Outbox
	now      time.Time // one for the whole transaction
	consent  Consent
	schedule Schedule
	machine  string // that the database says it is at home on
	added    int
	heldOne  bool // one of them is held
	after    []func() error

	housekept sql.NullInt64 // see dropOld
}

// begin reads in one statement what each transaction needs.
func (o *Outbox) begin(ctx context.Context, sqlTx *sql.Tx) (*Tx, error) {
	tx := &Tx{Tx: sqlTx, outbox: o, now: o.cfg.Now()}
	var since, failing, notBefore, retryAfter, waiting, success sql.NullInt64
	var on sql.NullBool
	s := &tx.schedule
	err := sqlTx.QueryRowContext(ctx, `
		SELECT failures, failing_since, not_before, retry_after, waiting_until, coalesce(last_error, ''),
		       coalesce(last_code, ''), last_success_at, coalesce(machine, ''), housekept_at, tracking, since
		FROM delivery LEFT JOIN consent`).
		Scan(&s.Failures, &failing, &notBefore, &retryAfter, &waiting, &s.LastError, &s.LastCode, &success, &tx.machine, &tx.housekept, &on, &since)
	if err != nil {
		return nil, fmt.Errorf("read schedule: %w", err)
	}
	s.FailingSince, s.LastSuccess = fromMillis(failing), fromMillis(success)
	s.NotBefore, s.RetryAfter, s.WaitingUntil = fromMillis(notBefore), fromMillis(retryAfter), fromMillis(waiting)
	tx.consent = o.consent(on, since)
	return tx, nil
}

// errNotYours keeps a transaction whole in the hands of somebody who is used to ending them.
var errNotYours = errors.New("a transaction of the queue ends with the function that it was given to")

// Commit changes nothing and returns an error, see Tx.
func (tx *Tx) Commit() error { return errNotYours }

// Rollback changes nothing and returns an error, see Tx.
func (tx *Tx) Rollback() error { return errNotYours }

// Now returns the time of the transaction, one for all that is written in it.
func (tx *Tx) Now() time.Time { return tx.now }

// Consent returns whether usage may be recorded, by what Enable and Disable left. The
// environment's word is not part of it.
func (tx *Tx) Consent() Consent { return tx.consent }

// Schedule returns when the next delivery may begin, and why not earlier.
func (tx *Tx) Schedule() Schedule { return tx.schedule }

// mayRecord is consent, with the environment's word on it.
func (tx *Tx) mayRecord() bool {
	switch tx.outbox.cfg.Consent {
	case Granted:
		return true
	case Withdrawn:
		return false
	}
	return tx.consent.On
}

// AfterCommit runs fn once the transaction is committed, with the write lock still held: what it
// does outside the database, such as exporting a file, happens in the order of the commits. Its
// error does not undo anything.
func (tx *Tx) AfterCommit(fn func() error) { tx.after = append(tx.after, fn) }

func (tx *Tx) committed() (err error) {
	for _, fn := range tx.after {
		err = errors.Join(err, fn())
	}
	return err
}

// Add adds a message, with what it left out filled in. An alias for an anon id that has one
// already is ignored: one anon id is aliased once. A uuid is given once, too: a second message with it
// is an error. Adding to a full queue drops its oldest events and counts them. It returns ErrOff when tracking is off, and an error that says what is wrong
// with a message that could never be sent.
func (tx *Tx) Add(ctx context.Context, m Message) error {
	if !tx.mayRecord() {
		return ErrOff
	}
	m, err := m.complete(tx.now, tx.outbox.cfg.NewUUID)
	if err != nil {
		return fmt.Errorf("add message: %w", err)
	}
	result, err := tx.ExecContext(ctx, `
		INSERT INTO messages (uuid, kind, event, anon_id, distinct_id, hold, properties, recorded_at)
		VALUES (?, ?, ?, ?, nullif(?, ''), nullif(?, ''), ?, ?)
		ON CONFLICT (anon_id) WHERE kind = 'alias' DO NOTHING`,
		m.UUID, m.Kind, m.Event, m.AnonID, m.DistinctID, m.Hold, string(m.Properties), m.RecordedAt.UnixMilli())
	if store.IsTaken(err) {
		return errors.New("add message: its uuid is that of a message that was added before")
	}
	if err != nil {
		return fmt.Errorf("add message: %w", err)
	}
	seq, err := result.LastInsertId()
	if err != nil {
		return fmt.Errorf("add message: %w", err)
	}
	tx.added++
	tx.heldOne = tx.heldOne || m.held()
	return tx.dropOverflow(ctx, seq)
}

// Held selects messages whose distinct id is not known yet. Empty fields match all.
type Held struct {
	Kind   Kind
	AnonID string
	Hold   string
}

// where is served by the index messages_undecided, however many messages are decided.
const where = ` WHERE distinct_id IS NULL AND (@kind = '' OR kind = @kind)
	AND (@anon = '' OR anon_id = @anon) AND (@hold = '' OR hold = @hold)`

func (h Held) args() []any {
	return []any{sql.Named("kind", h.Kind), sql.Named("anon", h.AnonID), sql.Named("hold", h.Hold)}
}

// Decide gives the selected messages their distinct id, for ever; an empty one makes each its own
// anon id's.
func (tx *Tx) Decide(ctx context.Context, h Held, distinctID string) error {
	_, err := tx.ExecContext(ctx, `UPDATE messages SET distinct_id = coalesce(nullif(@distinct, ''), anon_id), hold = NULL`+where,
		append(h.args(), sql.Named("distinct", distinctID))...)
	if err != nil {
		return fmt.Errorf("decide messages: %w", err)
	}
	return nil
}

// Withdraw deletes the selected messages; none of them was ever sent.
func (tx *Tx) Withdraw(ctx context.Context, h Held) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM messages`+where, h.args()...); err != nil {
		return fmt.Errorf("withdraw messages: %w", err)
	}
	return nil
}

// Retry makes dead messages pending again, all of them or those with the given numbers or uuids,
// and returns how many. They keep their place in the order and their content.
func (tx *Tx) Retry(ctx context.Context, ids []string) (retried int, err error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return 0, err
	}
	n, err := tx.change(ctx, `
		UPDATE messages SET state = 'pending', attempts = 0, last_error = NULL, settled_at = NULL, probed = 0, probed_at = NULL
		WHERE state = 'dead' AND (?1 = 0
			OR uuid IN (SELECT lower(value) FROM json_each(?2)) OR CAST(seq AS TEXT) IN (SELECT value FROM json_each(?2)))`,
		len(ids), string(list))
	if err != nil {
		return 0, fmt.Errorf("retry messages: %w", err)
	}
	return int(n), nil
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
