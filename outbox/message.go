package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Kind says how a message travels.
type Kind string

// The two kinds of messages.
const (
	Capture Kind = "capture" // an event of DistinctID
	Alias   Kind = "alias"   // AnonID is merged into DistinctID
)

// State says what became of a message.
type State string

// The states of a message. Delivered and dead ones are receipts, kept for a while.
const (
	Pending   State = "pending"
	Delivered State = "delivered" // accepted by the server
	Dead      State = "dead"      // refused by the server for good
)

// Message is one row of the queue. Everything that goes over the wire is fixed when it is
// added, but for an undecided DistinctID, which is fixed before the message is first sent.
type Message struct {
	Seq        int64 // order of recording, set by AddTx
	UUID       string
	Kind       Kind
	Event      string
	AnonID     string
	DistinctID string // "" while undecided
	Credential string // what the decision waits for, "" once decided
	Properties json.RawMessage
	RecordedAt time.Time // millisecond precision

	State     State
	Attempts  int    // refusals by the server
	LastError string // fixed words, never the server's text
	SettledAt time.Time
}

// Anonymous reports whether the message goes out, or went out, under its anon id.
func (m Message) Anonymous() bool {
	return m.Kind == Capture && m.DistinctID == m.AnonID
}

// AddTx adds a message. An alias for an anon id that has one already is ignored: one anon id
// is aliased once. Adding to a full queue drops the oldest event and counts it.
func AddTx(ctx context.Context, tx *sql.Tx, m Message) error {
	result, err := tx.ExecContext(ctx, `
		INSERT INTO messages (uuid, kind, event, anon_id, distinct_id, credential, properties, recorded_at)
		VALUES (?, ?, ?, ?, nullif(?, ''), nullif(?, ''), ?, ?)
		ON CONFLICT (anon_id) WHERE kind = 'alias' DO NOTHING`,
		m.UUID, m.Kind, m.Event, m.AnonID, m.DistinctID, m.Credential, string(m.Properties), m.RecordedAt.UnixMilli())
	if err != nil {
		return fmt.Errorf("add message: %w", err)
	}
	seq, err := result.LastInsertId()
	if err != nil {
		return fmt.Errorf("add message: %w", err)
	}
	return dropOverflow(ctx, tx, seq)
}

// Undecided selects messages whose distinct id has not been decided. Empty fields match all.
type Undecided struct {
	Kind       Kind
	AnonID     string
	Credential string
}

// where is served by the index messages_undecided, however many messages are decided.
const where = ` WHERE distinct_id IS NULL AND kind = @kind
	AND (@anon = '' OR anon_id = @anon) AND (@credential = '' OR credential = @credential)`

func (u Undecided) args() []any {
	return []any{sql.Named("kind", u.Kind), sql.Named("anon", u.AnonID), sql.Named("credential", u.Credential)}
}

// DecideTx gives the selected messages their distinct id, for ever; an empty one makes each
// its own anon id's.
func DecideTx(ctx context.Context, tx *sql.Tx, u Undecided, distinctID string) error {
	_, err := tx.ExecContext(ctx, `UPDATE messages SET distinct_id = coalesce(nullif(@distinct, ''), anon_id), credential = NULL`+where,
		append(u.args(), sql.Named("distinct", distinctID))...)
	if err != nil {
		return fmt.Errorf("decide messages: %w", err)
	}
	return nil
}

// WithdrawTx deletes the selected messages; none of them was ever sent.
func WithdrawTx(ctx context.Context, tx *sql.Tx, u Undecided) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM messages`+where, u.args()...); err != nil {
		return fmt.Errorf("withdraw messages: %w", err)
	}
	return nil
}

// RetryTx makes dead messages pending again, all of them or those with the given numbers or
// uuids, and returns how many. They keep their place in the order and their content.
func RetryTx(ctx context.Context, tx *sql.Tx, ids []string) (retried int64, err error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return 0, err
	}
	result, err := tx.ExecContext(ctx, `
		UPDATE messages SET state = 'pending', attempts = 0, last_error = NULL, settled_at = NULL
		WHERE state = 'dead' AND (?1 = 0
			OR uuid IN (SELECT lower(value) FROM json_each(?2)) OR CAST(seq AS TEXT) IN (SELECT value FROM json_each(?2)))`,
		len(ids), string(list))
	if err != nil {
		return 0, fmt.Errorf("retry messages: %w", err)
	}
	return result.RowsAffected()
}

// CredentialsTx returns the credentials that undecided messages wait for.
func CredentialsTx(ctx context.Context, tx *sql.Tx) ([]string, error) {
	rows, err := tx.QueryContext(ctx,
		`SELECT DISTINCT credential FROM messages WHERE distinct_id IS NULL AND credential IS NOT NULL`)
	if err != nil {
		return nil, fmt.Errorf("read undecided credentials: %w", err)
	}
	defer rows.Close()
	var credentials []string
	for rows.Next() {
		var credential string
		if err := rows.Scan(&credential); err != nil {
			return nil, fmt.Errorf("read undecided credentials: %w", err)
		}
		credentials = append(credentials, credential)
	}
	return credentials, rows.Err()
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
