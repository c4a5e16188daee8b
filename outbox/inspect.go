package outbox

import (
	"cmp"
	"context"
	"fmt"
	"iter"
)

// Counts says how many messages there are in each state.
type Counts struct {
	Pending   int
	Delivered int // receipts still kept, not all there ever were
	Dead      int
	Dropped   int // by the caps, ever
	Erased    int // by the user, ever
	// HeldAliases are the pending aliases without a distinct id. No flusher sends them; a held event goes
	// out as its anon id.
	HeldAliases int
}

// Filter selects messages to look at. The zero Filter selects all.
type Filter struct {
	ID    string // a number or a uuid
	State State  // "" is every state
	After int64  // only numbers above it
	Limit int    // the newest ones; 0 is all
}

// Counts counts the messages.
func (tx *Tx) Counts(ctx context.Context) (c Counts, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT (SELECT count(*) FROM messages WHERE state = 'pending'),
		       (SELECT count(*) FROM messages WHERE state = 'delivered'),
		       (SELECT count(*) FROM messages WHERE state = 'dead'),
		       (SELECT count(*) FROM messages WHERE distinct_id IS NULL AND kind = 'alias'),
		       dropped, erased FROM delivery`).
		Scan(&c.Pending, &c.Delivered, &c.Dead, &c.HeldAliases, &c.Dropped, &c.Erased)
	if err != nil {
		return Counts{}, fmt.Errorf("count messages: %w", err)
	}
	return c, nil
}

// sendable reports whether anything could be sent now, and whether some of it is held.
func (tx *Tx) sendable(ctx context.Context) (some, held bool, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM messages WHERE state = 'pending' AND (distinct_id IS NOT NULL OR kind = 'capture')),
		       EXISTS (SELECT 1 FROM messages WHERE distinct_id IS NULL AND kind = 'capture')`).Scan(&some, &held)
	return some, held, err
}

// Messages yields the selected messages in the order of recording, one at a time, so that a long
// queue takes no more memory than a short one. After an error it ends.
func (tx *Tx) Messages(ctx context.Context, f Filter) iter.Seq2[Message, error] {
	// A limit of -1 is none to SQLite. The numbers are selected from the index, newest first; only they are sorted again.
	return tx.where(ctx, `seq IN (SELECT seq FROM messages
		WHERE (?1 = '' OR state = ?1) AND (?2 = '' OR uuid = lower(?2) OR CAST(seq AS TEXT) = ?2) AND seq > ?3
		ORDER BY seq DESC LIMIT coalesce(nullif(?4, 0), -1)) ORDER BY seq`, f.State, f.ID, f.After, f.Limit)
}

// where yields the messages that meet a condition, which may go on with ORDER BY and LIMIT.
func (tx *Tx) where(ctx context.Context, condition string, args ...any) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		rows, err := tx.QueryContext(ctx, `
			SELECT seq, uuid, kind, event, anon_id, coalesce(distinct_id, ''), coalesce(hold, ''),
			       properties, recorded_at, state, attempts, coalesce(last_error, ''), settled_at
			FROM messages WHERE `+condition, args...)
		if err != nil {
			yield(Message{}, fmt.Errorf("read messages: %w", err))
			return
		}
		defer rows.Close()
		for err == nil && rows.Next() {
			var m Message
			err = rows.Scan(&m.Seq, &m.UUID, &m.Kind, &m.Event, &m.AnonID, &m.DistinctID, &m.Hold,
				(*[]byte)(&m.Properties), (*moment)(&m.RecordedAt), &m.State, &m.Attempts, &m.LastError, (*moment)(&m.SettledAt))
			if err == nil && !yield(m, nil) {
				return
			}
		}
		if err = cmp.Or(err, rows.Err()); err != nil {
			yield(Message{}, fmt.Errorf("read messages: %w", err))
		}
	}
}
