package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	firstBatch = 500  // messages
	largest    = 2000 // messages: at 50 ms a round trip, 40,000 a second
	// memoLife is how long a sink's memo is kept: a server is updated now and then.
	memoLife = 7 * 24 * time.Hour
	// aloneRuns is in how many runs, and alonePeriod over how long, a message has to be refused alone by
	// a server that has not shown that it is the right one, before the message is dead and no longer holds
	// up the others.
	aloneRuns   = 3
	alonePeriod = time.Hour
)

// endpoint is what was learned about where messages go.
type endpoint struct {
	name       string
	acceptedAt moment // when it first accepted a message: it has shown then that it is the right server
	size       int    // how many messages a request may carry
	memo       string
	memoUntil  moment
}

// endpoint reads what is known of the endpoint with this name: of another one nothing is.
func (tx *Tx) endpoint(ctx context.Context, name string) (endpoint, error) {
	e := endpoint{name: name, size: firstBatch}
	err := tx.QueryRowContext(ctx, `
		SELECT accepted_at, coalesce(batch_size, ?), CASE WHEN memo_until > ? THEN coalesce(memo, '') ELSE '' END, memo_until
		FROM delivery WHERE endpoint = ?`, firstBatch, moment(tx.now), name).
		Scan(&e.acceptedAt, &e.size, &e.memo, &e.memoUntil)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return e, fmt.Errorf("read what is known of the server: %w", err)
	}
	e.size = min(max(e.size, 1), largest)
	return e, nil
}

func (tx *Tx) saveEndpoint(ctx context.Context, e endpoint) error {
	_, err := tx.exec(ctx, "note what is known of the server",
		`UPDATE delivery SET endpoint = ?, accepted_at = ?, batch_size = ?, memo = ?, memo_until = ?`,
		e.name, e.acceptedAt, e.size, e.memo, e.memoUntil)
	return err
}

// accepted notes an acceptance. A memo is kept for a week from when it was new: a server that was updated since is
// then asked by its newer protocol.
func (e *endpoint) accepted(now time.Time, memo string) {
	if e.acceptedAt == (moment{}) {
		e.acceptedAt = moment(now)
	}
	if memo != e.memo {
		e.memo, e.memoUntil = memo, moment(now.Add(memoLife))
	}
}

// accept settles the messages that the server has accepted, by their numbers and not by a range: an alias
// inside the range may have been decided since, and was not sent. Nor by their state: a row that contradicts
// the index by which it was taken would stay for ever, while its change makes SQLite call that damage. It
// keeps receipts, and drops the oldest of them over the cap. It keeps none where as many messages wait behind
// as there may be receipts, which would replace them within the same drain (writing both was a third of its
// time), nor when the disk is tight: its room is for what waits.
func (tx *Tx) accept(ctx context.Context, accepted []Message, tight bool) (n int, err error) {
	if len(accepted) == 0 {
		return 0, nil
	}
	var behind int
	err = tx.QueryRowContext(ctx, `
		SELECT count(*) FROM (SELECT 1 FROM messages WHERE state = 'pending' AND seq > ? LIMIT ?)`,
		accepted[len(accepted)-1].Seq, maxReceipts).Scan(&behind)
	if err != nil {
		return 0, fmt.Errorf("count messages: %w", err)
	}
	settle, args := `UPDATE messages SET state = 'delivered', settled_at = ?2, last_error = NULL`, []any{numbers(accepted), moment(tx.now)}
	if behind == maxReceipts || tight {
		settle, args = `DELETE FROM messages`, args[:1]
	}
	n, err = tx.exec(ctx, "settle messages", settle+` WHERE seq IN (SELECT value FROM json_each(?1))`, args...)
	if err != nil {
		return 0, err
	}
	tx.schedule.Failures = 0
	_, err = tx.exec(ctx, "note the delivery", `
		DELETE FROM messages WHERE state = 'delivered' AND seq <=
			(SELECT seq FROM messages WHERE state = 'delivered' ORDER BY seq DESC LIMIT 1 OFFSET ?1);
		UPDATE delivery SET failures = 0, failing_since = NULL, not_before = 0, retry_after = 0,
			last_error = NULL, last_code = NULL, last_success_at = ?2`, maxReceipts, moment(tx.now))
	return n, err
}

// bury makes a message dead, for the reason that the server has given. The oldest dead events over the
// cap are dropped and counted.
func (tx *Tx) bury(ctx context.Context, m Message, reason string) (n int, err error) {
	n, err = tx.exec(ctx, "bury a message", `
		UPDATE messages SET state = 'dead', attempts = attempts + 1, last_error = ?, settled_at = ?
		WHERE seq = ?`, reason, moment(tx.now), m.Seq)
	if err != nil {
		return 0, err
	}
	return n, tx.drop(ctx, `state = 'dead' AND seq <=
		(SELECT seq FROM messages WHERE state = 'dead' ORDER BY seq DESC LIMIT 1 OFFSET ?)`, maxDead)
}

// countRefusal counts that a message was refused alone by a server that has not shown that it is the
// right one, and reports whether that was often enough to make the message dead.
func (tx *Tx) countRefusal(ctx context.Context, m Message, reason string) (enough bool, err error) {
	var runs int
	var first moment
	err = tx.QueryRowContext(ctx, `
		UPDATE messages SET refused_alone = refused_alone + 1, refused_at = coalesce(refused_at, ?), last_error = ?
		WHERE seq = ? RETURNING refused_alone, refused_at`, moment(tx.now), reason, m.Seq).Scan(&runs, &first)
	if errors.Is(err, sql.ErrNoRows) { // erased meanwhile
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("count a refusal: %w", err)
	}
	return runs >= aloneRuns && tx.now.Sub(time.Time(first)) >= alonePeriod, nil
}

// The back-off after a run that left messages pending: 5 s, doubling to 15 min, half of it random, so
// that after an outage the machines do not all come back at the same moment.
const (
	firstBackOff = 5 * time.Second
	lastBackOff  = 15 * time.Minute
)

// backOff returns the wait after the given number of consecutive failures. jitter is a random
// number in [0, 1).
func backOff(failures int, jitter float64) time.Duration {
	doublings := min(max(failures-1, 0), 8) // 5 s << 8 is over 15 min
	wait := min(firstBackOff<<doublings, lastBackOff)
	return wait/2 + time.Duration(jitter*float64(wait/2))
}

// numbers returns the messages' numbers as a JSON array, one parameter for any length.
func numbers(messages []Message) string {
	seqs := make([]int64, len(messages))
	for i, m := range messages {
		seqs[i] = m.Seq
	}
	list, _ := json.Marshal(seqs) // integers always encode
	return string(list)
}
