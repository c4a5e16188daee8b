package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/ArcadeAI/arcade-cli/migrations"
)

// Counts says how many messages there are in each state.
type Counts struct {
	Pending   int
	Delivered int // receipts still kept, not all there ever were
	Dead      int
	Dropped   int // by the caps, ever
	Erased    int // by the user, ever
}

// Filter selects messages to look at. The zero Filter selects all.
type Filter struct {
	ID    string // a sequence number or a uuid
	State State  // "" is every state
	Limit int    // the newest ones; 0 is all
}

// ErrNone means that there is no database yet: nothing was ever recorded here.
var ErrNone = errors.New("nothing has been recorded yet")

// View runs fn in a transaction that cannot write, without the write lock: looking at the
// queue changes nothing and waits for nobody. It returns ErrNone when there is no database.
func (o *Outbox) View(ctx context.Context, fn func(tx *sql.Tx) error) error {
	if _, err := os.Stat(o.cfg.Path); errors.Is(err, fs.ErrNotExist) {
		return ErrNone
	}
	err := o.view(ctx, viewDSN(o.cfg.Path, o.cfg.BusyWait, false), fn)
	// On a read-only disk no shared memory can be made.
	if isCode(err, codeCantOpen) || isCode(err, codeReadOnly) {
		err = o.view(ctx, viewDSN(o.cfg.Path, o.cfg.BusyWait, true), fn)
	}
	return err
}

func (o *Outbox) view(ctx context.Context, dsn string, fn func(tx *sql.Tx) error) error {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	version, err := schemaVersion(ctx, db)
	switch known := migrations.Version(); {
	case err != nil:
		return fmt.Errorf("open outbox: %w", err)
	case version > known:
		return fmt.Errorf("%w (its schema is %d, this version knows %d): update arcade", ErrNewer, version, known)
	case version < known: // empty, or the next recorded command will migrate it
		return ErrNone
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("open outbox: %w", err)
	}
	defer tx.Rollback()
	return fn(tx)
}

// SchemaTx returns the schema version of the database.
func SchemaTx(ctx context.Context, tx *sql.Tx) (version int, err error) {
	err = tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

// CountsTx counts the messages.
func CountsTx(ctx context.Context, tx *sql.Tx) (c Counts, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT (SELECT count(*) FROM messages WHERE state = 'pending'),
		       (SELECT count(*) FROM messages WHERE state = 'delivered'),
		       (SELECT count(*) FROM messages WHERE state = 'dead'), dropped, erased FROM delivery`).
		Scan(&c.Pending, &c.Delivered, &c.Dead, &c.Dropped, &c.Erased)
	if err != nil {
		return Counts{}, fmt.Errorf("count messages: %w", err)
	}
	return c, nil
}

// MessagesTx returns the selected messages in the order of recording.
func MessagesTx(ctx context.Context, tx *sql.Tx, f Filter) ([]Message, error) {
	limit := f.Limit
	if limit == 0 {
		limit = -1 // SQLite's word for no limit
	}
	messages, err := selectTx(ctx, tx, `
		(?1 = '' OR state = ?1) AND (?2 = '' OR uuid = lower(?2) OR CAST(seq AS TEXT) = ?2)
		ORDER BY seq DESC LIMIT ?3`, f.State, f.ID, limit)
	for i, j := 0, len(messages)-1; i < j; i, j = i+1, j-1 {
		messages[i], messages[j] = messages[j], messages[i]
	}
	return messages, err
}

// selectTx reads the messages that match condition, which may go on with ORDER BY and LIMIT.
func selectTx(ctx context.Context, tx *sql.Tx, condition string, args ...any) ([]Message, error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT seq, uuid, kind, event, anon_id, coalesce(distinct_id, ''), coalesce(credential, ''),
		       properties, recorded_at, state, attempts, coalesce(last_error, ''), settled_at
		FROM messages WHERE `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	defer rows.Close()
	var messages []Message
	for rows.Next() {
		m, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read messages: %w", err)
		}
		messages = append(messages, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return messages, nil
}

func scan(rows *sql.Rows) (m Message, err error) {
	var recorded, settled sql.NullInt64
	var properties []byte
	err = rows.Scan(&m.Seq, &m.UUID, &m.Kind, &m.Event, &m.AnonID, &m.DistinctID, &m.Credential,
		&properties, &recorded, &m.State, &m.Attempts, &m.LastError, &settled)
	m.Properties = json.RawMessage(properties)
	m.RecordedAt, m.SettledAt = fromMillis(recorded), fromMillis(settled)
	return m, err
}

// FlusherRunning tells whether a flusher is at work now.
func (o *Outbox) FlusherRunning() bool {
	return isHeld(o.flushLockPath())
}

// FlusherWaiting tells whether a flusher sits out a back-off and will go to work after it.
func (o *Outbox) FlusherWaiting() bool {
	return isHeld(o.waitLockPath())
}

func (o *Outbox) waitLockPath() string { return o.cfg.Path + ".waiting.lock" }

// AwaitFlusher waits until no flusher is at work, but not for longer than most, and tells whether
// that came true. After Disable or Clear it is the end of a request that was under way.
func (o *Outbox) AwaitFlusher(most time.Duration) bool {
	lock, err := acquire(o.flushLockPath(), patience{idle: most})
	if err != nil {
		return !errors.Is(err, errLocked)
	}
	lock.release()
	return true
}

func (o *Outbox) flushLockPath() string { return o.cfg.Path + ".flusher.lock" }

// sendable tells whether anything could be sent now.
func (o *Outbox) sendable(ctx context.Context) (some bool, err error) {
	err = o.InTx(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
			SELECT EXISTS (SELECT 1 FROM messages
			WHERE state = 'pending' AND (distinct_id IS NOT NULL OR kind = 'capture'))`).Scan(&some)
	})
	return some, err
}
