package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// queue is what one run of a flusher remembers between two batches.
type queue struct {
	// suspect is the number of messages at the head of the queue of which PostHog refuses at
	// least one. They are sent in halves until the bad one is alone.
	suspect int
	// started is false until the first batch was taken, when suspect is read from `attempts`.
	started bool
	// asked is the last undecided message that Resolve has had its chance with.
	asked int64
}

// size returns how many messages the next request may carry.
func (q *queue) size() int {
	if q.suspect > 0 {
		return (q.suspect + 1) / 2
	}
	return maxBatch
}

// answered narrows the suspects. A refused batch holds a bad message; when the first half of
// the suspects is accepted, the bad one is in the other half.
func (q *queue) answered(n int, o outcome) {
	switch {
	case o == accepted:
		q.suspect = max(q.suspect-n, 0)
	case o == refused && n > 1:
		q.suspect = n
	case o == refused:
		q.suspect = 0
	}
}

// recall takes up a search that an earlier flusher did not finish: the messages of its last
// refused batch stand at the head of the queue and share a number of attempts.
func (q *queue) recall(head []Message) {
	if q.started {
		return
	}
	q.started = true
	for _, m := range head {
		if m.Attempts == 0 || m.Attempts != head[0].Attempts {
			break
		}
		q.suspect++
	}
}

// take returns the next batch, oldest first, every message of it decided. Consent is read in
// the same transaction, so nothing is sent once it is gone. An empty batch: nothing is left.
func (f *Flusher) take(ctx context.Context, q *queue) ([]Message, error) {
	for {
		batch, ask, err := f.takeDecided(ctx, q)
		if err != nil || !ask {
			return batch, err
		}
		if err := f.Resolve(ctx); err != nil {
			return nil, err
		}
	}
}

// takeDecided asks for Resolve when there are undecided messages that it has not seen yet.
// Those it has seen and left are decided here, as late as possible, as their anon id; from
// then on they never change. An undecided alias waits for a later answer.
func (f *Flusher) takeDecided(ctx context.Context, q *queue) (batch []Message, ask bool, err error) {
	err = f.Outbox.InTx(ctx, func(tx *sql.Tx) error {
		consent, err := f.Outbox.ConsentTx(ctx, tx)
		if err != nil {
			return err
		}
		if !consent.On && !f.Forced {
			return ErrOff
		}
		newest, err := newestUndecidedTx(ctx, tx)
		if err != nil {
			return err
		}
		if ask = newest > q.asked; ask {
			q.asked = newest
			return nil
		}
		head, err := headTx(ctx, tx, nil)
		if err != nil {
			return err
		}
		q.recall(head)
		batch = cut(head, q.size())
		return f.anonymizeTx(ctx, tx, batch)
	})
	return batch, ask, err
}

// takeAhead returns the batch after the one that is under way, but none while something is
// undecided: that is decided as late as possible. Neither does it while PostHog is being asked
// which message it refuses. An error comes again when the batch is taken.
func (f *Flusher) takeAhead(ctx context.Context, q *queue, underWay []Message) (batch []Message) {
	if q.suspect > 0 {
		return nil
	}
	err := f.Outbox.InTx(ctx, func(tx *sql.Tx) error {
		newest, err := newestUndecidedTx(ctx, tx)
		if err != nil || newest > 0 {
			return err
		}
		head, err := headTx(ctx, tx, underWay)
		batch = cut(head, maxBatch)
		return err
	})
	if err != nil {
		return nil
	}
	return batch
}

func newestUndecidedTx(ctx context.Context, tx *sql.Tx) (seq int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM messages WHERE distinct_id IS NULL`).Scan(&seq)
	return seq, err
}

// headTx reads the messages that may be sent next, after those that are under way. An alias whose
// principal is undecided waits without holding up what comes after it.
func headTx(ctx context.Context, tx *sql.Tx, underWay []Message) ([]Message, error) {
	return selectTx(ctx, tx, `state = 'pending' AND (distinct_id IS NOT NULL OR kind = 'capture')
		AND seq NOT IN (SELECT value FROM json_each(?))
		ORDER BY seq LIMIT ?`, numbers(underWay), maxBatch)
}

// cut returns the first messages up to n of them and up to the limit of a request, but at
// least one.
func cut(head []Message, n int) []Message {
	size := 0
	for i, m := range head {
		size += wireBound(m)
		if i == n || (i > 0 && size > maxBatchBytes) {
			return head[:i]
		}
	}
	return head
}

// anonymizeTx decides what is still undecided in the batch.
func (f *Flusher) anonymizeTx(ctx context.Context, tx *sql.Tx, batch []Message) error {
	told := map[string]bool{}
	for i := range batch {
		m := &batch[i]
		if m.DistinctID != "" {
			continue
		}
		m.DistinctID, m.Credential = m.AnonID, ""
		_, err := tx.ExecContext(ctx,
			`UPDATE messages SET distinct_id = anon_id, credential = NULL WHERE seq = ?`, m.Seq)
		if err != nil {
			return fmt.Errorf("decide messages: %w", err)
		}
		if told[m.AnonID] {
			continue
		}
		told[m.AnonID] = true
		if err := f.Anonymous(ctx, tx, m.AnonID); err != nil {
			return err
		}
	}
	return nil
}

// deliveredTx settles a batch by the numbers of its messages, not by a range: an alias inside
// the range may have been decided since, and was not sent. Receipts over the cap go at once,
// oldest first, so that draining a backlog does not fill the database with them. Like refusedTx
// and deadTx it tells how many messages of the batch were still there to be settled.
func deliveredTx(ctx context.Context, tx *sql.Tx, batch []Message, now time.Time) (settled int64, err error) {
	settled, err = updateTx(ctx, tx, `
		UPDATE messages SET state = 'delivered', settled_at = ?, last_error = NULL
		WHERE state = 'pending' AND seq IN (SELECT value FROM json_each(?))`, now.UnixMilli(), numbers(batch))
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `
		DELETE FROM messages WHERE state = 'delivered' AND seq <=
			(SELECT seq FROM messages WHERE state = 'delivered' ORDER BY seq DESC LIMIT 1 OFFSET ?)`, maxReceipts)
	if err != nil {
		return 0, err
	}
	return settled, succeededTx(ctx, tx, now)
}

func updateTx(ctx context.Context, tx *sql.Tx, statement string, args ...any) (changed int64, err error) {
	result, err := tx.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// pendingTx counts the messages of a batch that are still there to be sent.
func pendingTx(ctx context.Context, tx *sql.Tx, batch []Message) (n int, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT count(*) FROM messages WHERE state = 'pending' AND seq IN (SELECT value FROM json_each(?))`,
		numbers(batch)).Scan(&n)
	return n, err
}

func refusedTx(ctx context.Context, tx *sql.Tx, batch []Message, reason string) (settled int64, err error) {
	return updateTx(ctx, tx, `
		UPDATE messages SET attempts = attempts + 1, last_error = ?
		WHERE state = 'pending' AND seq IN (SELECT value FROM json_each(?))`, reason, numbers(batch))
}

// deadTx gives one message up. Those that were refused together with it are cleared: a later
// flusher would go on with the search among them (see recall).
func deadTx(ctx context.Context, tx *sql.Tx, m Message, reason string, now time.Time) (settled int64, err error) {
	settled, err = updateTx(ctx, tx, `
		UPDATE messages SET state = 'dead', attempts = attempts + 1, last_error = ?, settled_at = ?
		WHERE state = 'pending' AND seq = ?`, reason, now.UnixMilli(), m.Seq)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE messages SET attempts = 0, last_error = NULL
		WHERE attempts > 0 AND seq IN (SELECT seq FROM messages WHERE state = 'pending' ORDER BY seq LIMIT ?)`, maxBatch)
	return settled, err
}

// numbers returns the messages' numbers as a JSON array, one parameter for any length.
func numbers(batch []Message) string {
	seqs := make([]int64, len(batch))
	for i, m := range batch {
		seqs[i] = m.Seq
	}
	list, err := json.Marshal(seqs)
	if err != nil { // integers always encode
		panic(err)
	}
	return string(list)
}
