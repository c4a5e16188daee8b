package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// maxBatch is how many messages one request carries at most. The sink may take fewer.
const maxBatch = 500

// unsendable is the code of a refusal that is ours and needs no proof.
const unsendable = "unsendable"

// search finds the messages that a server refuses: a refused batch is sent in halves until the
// bad one is alone.
//
// Anybody can refuse, but only a server that has accepted something has shown that it knows
// messages. As long as none has, two messages are tried alone, and no more.
type search struct {
	started  bool
	suspects int     // messages at the head of the queue of which at least one is refused
	proven   bool    // the server has accepted something, now or ever
	probed   []int64 // messages that were refused alone without proof, in this run
}

// maxProbes is how many messages are tried alone on a server that has not accepted anything.
const maxProbes = 2

// size returns how many messages the next request may carry.
func (s *search) size() int {
	switch {
	case s.suspects > 0 && !s.proven:
		return 1
	case s.suspects > 0:
		return (s.suspects + 1) / 2
	default:
		return maxBatch
	}
}

// recall takes up a search that an earlier flusher did not finish: the messages of its last
// refused batch stand at the head of the queue and share a number of attempts.
func (s *search) recall(head []Message) {
	if s.started {
		return
	}
	s.started = true
	for _, m := range head {
		if m.Attempts == 0 || m.Attempts != head[0].Attempts {
			break
		}
		s.suspects++
	}
}

// accepted narrows the suspects: when the first half of them is accepted, the bad one is in the
// other half. Messages that were probed without proof are the suspects now.
func (s *search) accepted(n int) {
	s.suspects = max(s.suspects-n, 0)
	if !s.proven {
		s.proven, s.suspects, s.probed = true, len(s.probed), nil
	}
}

// refused widens or ends the search.
func (s *search) refused(n int) {
	if n > 1 {
		s.suspects = n
	} else {
		s.suspects = max(s.suspects-1, 0)
	}
}

// take returns the next messages, oldest first, every one of them decided. Consent is read in the
// same transaction, so nothing is taken once it is gone. None: nothing is left.
func (d *delivery) take(ctx context.Context) ([]Message, error) {
	batch, names, err := d.takeDecided(ctx)
	if err == nil && len(names) > 0 {
		for _, name := range names {
			d.asked[name] = true
		}
		if err := d.outbox.cfg.Resolve(ctx, d.outbox, names); err != nil {
			return nil, fmt.Errorf("resolve: %w", err)
		}
		batch, _, err = d.takeDecided(ctx)
	}
	if err == nil && len(batch) == 0 && len(d.search.probed) > 0 {
		return nil, d.giveUp(ctx)
	}
	return batch, err
}

// takeDecided asks for Resolve when messages are held under names that it has not seen yet, and
// takes none then. Those it has seen and left are decided here, as late as possible, as their
// anon id; from then on they never change. A held alias waits for a later answer.
func (d *delivery) takeDecided(ctx context.Context) (batch []Message, ask []string, err error) {
	err = d.outbox.Update(ctx, func(tx *Tx) (err error) {
		batch, ask, d.housekept = nil, nil, tx.housekept
		if !tx.mayRecord() {
			return ErrOff
		}
		if ask, err = d.newNames(ctx, tx); err != nil || len(ask) > 0 {
			return err
		}
		head, err := tx.head(ctx, d.search.probed)
		if err != nil {
			return err
		}
		if err := d.prove(ctx, tx); err != nil {
			return err
		}
		d.search.recall(head)
		batch = head[:min(len(head), d.search.size())]
		return d.release(ctx, tx, batch)
	})
	return batch, ask, err
}

// newNames returns the names, of messages that came since the last look, that were not asked
// about in this run. A steady stream of messages under one name is asked about once.
func (d *delivery) newNames(ctx context.Context, tx *Tx) (ask []string, err error) {
	if d.outbox.cfg.Resolve == nil {
		return nil, nil
	}
	var newest int64
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM messages WHERE distinct_id IS NULL`).Scan(&newest)
	if err != nil || newest <= d.newest {
		return nil, err
	}
	names, err := tx.names(ctx, d.newest)
	if err != nil {
		return nil, err
	}
	d.newest = newest
	for _, name := range names {
		if !d.asked[name] {
			ask = append(ask, name)
		}
	}
	return ask, nil
}

// names returns the names that messages are held under, of those with numbers over after. It is
// served by the index messages_undecided.
func (tx *Tx) names(ctx context.Context, after int64) (names []string, err error) {
	rows, err := tx.QueryContext(ctx,
		`SELECT DISTINCT coalesce(hold, '') FROM messages WHERE distinct_id IS NULL AND seq > ?`, after)
	if err != nil {
		return nil, fmt.Errorf("read held messages: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("read held messages: %w", err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// head reads the messages that may be sent next, but for those to be skipped. An alias whose
// distinct id is not known waits without holding up what comes after it.
func (tx *Tx) head(ctx context.Context, skip []int64) ([]Message, error) {
	return tx.selectMessages(ctx, `state = 'pending' AND (distinct_id IS NOT NULL OR kind = 'capture')
		AND seq NOT IN (SELECT value FROM json_each(?))
		ORDER BY seq LIMIT ?`, numberList(skip), maxBatch)
}

// sendable tells whether anything could be sent now, and whether some of it is held.
func (o *Outbox) sendable(ctx context.Context) (some, held bool, err error) {
	err = o.Update(ctx, func(tx *Tx) error {
		return tx.QueryRowContext(ctx, `
			SELECT EXISTS (SELECT 1 FROM messages WHERE state = 'pending' AND (distinct_id IS NOT NULL OR kind = 'capture')),
			       EXISTS (SELECT 1 FROM messages WHERE distinct_id IS NULL AND kind = 'capture')`).Scan(&some, &held)
	})
	return some, held, err
}

// release decides what is still held in the batch.
func (d *delivery) release(ctx context.Context, tx *Tx, batch []Message) error {
	told := map[string]bool{}
	for i := range batch {
		m := &batch[i]
		if m.DistinctID != "" {
			continue
		}
		m.DistinctID, m.Hold = m.AnonID, ""
		if _, err := tx.ExecContext(ctx, `UPDATE messages SET distinct_id = anon_id, hold = NULL WHERE seq = ?`, m.Seq); err != nil {
			return fmt.Errorf("decide messages: %w", err)
		}
		if told[m.AnonID] || d.outbox.cfg.Released == nil {
			continue
		}
		told[m.AnonID] = true
		if err := d.outbox.cfg.Released(ctx, tx, m.AnonID); err != nil {
			return err
		}
	}
	return nil
}

// settleRoom is what settling a batch may write, in bytes: as much for its numbers, indexes and
// receipts as for its content thrice, and some pages.
func settleRoom(body []byte) int64 { return 64<<10 + 3*int64(len(body)) }

// reserve looks once more, when the request is about to leave: since the batch was taken the user
// may have switched tracking off or erased it. What cannot be settled, because the disk is full,
// is not sent.
func (d *delivery) reserve(ctx context.Context, batch []Message, body []byte) error {
	if err := d.outbox.store.Reserve(ctx, settleRoom(body)); err != nil {
		return err
	}
	return d.outbox.Update(ctx, func(tx *Tx) error {
		if !tx.mayRecord() {
			return ErrOff
		}
		var wanted int
		err := tx.QueryRowContext(ctx, `
			SELECT count(*) FROM messages WHERE state = 'pending' AND seq IN (SELECT value FROM json_each(?))`,
			numbers(batch)).Scan(&wanted)
		if err == nil && wanted < len(batch) {
			err = errWithdrawn
		}
		return err
	})
}

// settle writes down what became of a batch, in one transaction. It does so even when ctx has
// just ended: what is known must not be forgotten.
func (d *delivery) settle(ctx context.Context, batch []Message, v Verdict) error {
	ctx = context.WithoutCancel(ctx)
	var settled Result
	var delay *Delay
	err := d.outbox.Update(ctx, func(tx *Tx) (err error) {
		settled, delay = Result{}, nil
		switch {
		case v.Outcome == Accepted:
			settled.Delivered, err = d.deliver(ctx, tx, batch)
		case v.Outcome != Refused:
			delay = &Delay{Reason: v.Reason, Code: v.Code}
			err = tx.postpone(ctx, v)
		case len(batch) == 1 && (d.search.proven || v.Code == unsendable):
			settled.Dead, err = tx.bury(ctx, batch[0], v.Reason)
		case len(batch) == 1:
			settled.Dead, err = tx.probe(ctx, batch[0], v.Reason)
		case d.search.proven:
			err = tx.markRefused(ctx, batch, v.Reason)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	d.outbox.cfg.Point("settled")
	d.total.Delivered += settled.Delivered
	d.total.Dead += settled.Dead
	if delay != nil {
		return delay
	}
	return d.narrow(ctx, batch, v, settled)
}

// narrow tells the search what came of a batch. It returns a *Delay when there is nothing more to
// try on a server that has not proved itself.
func (d *delivery) narrow(ctx context.Context, batch []Message, v Verdict, settled Result) error {
	s := &d.search
	switch {
	case v.Outcome == Accepted:
		s.accepted(len(batch))
		return nil
	case len(batch) > 1 || settled.Dead > 0:
		s.refused(len(batch))
		return nil
	}
	s.probed = append(s.probed, batch[0].Seq)
	// Its principal's events must not go before an alias, so there is no second probe then.
	if len(s.probed) >= maxProbes || batch[0].Kind == Alias {
		return d.giveUp(ctx)
	}
	return nil
}

// giveUp ends a run in which a server has refused what it was asked and accepted nothing, ever.
func (d *delivery) giveUp(ctx context.Context) error {
	v := Verdict{Outcome: Later, Reason: "refused by a server that has never accepted anything", Code: CodeForeign}
	ctx = context.WithoutCancel(ctx)
	err := d.outbox.Update(ctx, func(tx *Tx) error { return tx.postpone(ctx, v) })
	return errors.Join(&Delay{Reason: v.Reason, Code: v.Code}, err)
}

// prove reads whether the sink's endpoint has ever accepted anything.
func (d *delivery) prove(ctx context.Context, tx *Tx) error {
	if d.search.proven {
		return nil
	}
	return tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM endpoints WHERE endpoint = ?)`,
		d.outbox.cfg.Sink.Endpoint()).Scan(&d.search.proven)
}

// deliver settles a batch by the numbers of its messages, not by a range: an alias inside the
// range may have been decided since, and was not sent. Receipts over the cap go at once, oldest
// first, so that draining a backlog does not fill the database with them. Like bury it tells how
// many messages of the batch were still there to be settled.
func (d *delivery) deliver(ctx context.Context, tx *Tx, batch []Message) (settled int, err error) {
	n, err := tx.change(ctx, `
		UPDATE messages SET state = 'delivered', settled_at = ?, last_error = NULL
		WHERE state = 'pending' AND seq IN (SELECT value FROM json_each(?))`, tx.now.UnixMilli(), numbers(batch))
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `
		DELETE FROM messages WHERE state = 'delivered' AND seq <=
			(SELECT seq FROM messages WHERE state = 'delivered' ORDER BY seq DESC LIMIT 1 OFFSET ?)`, maxReceipts)
	if err != nil {
		return 0, err
	}
	if !d.search.proven {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO endpoints (endpoint, accepted_at) VALUES (?, ?)`,
			d.outbox.cfg.Sink.Endpoint(), tx.now.UnixMilli())
		if err != nil {
			return 0, err
		}
	}
	return int(n), tx.succeeded(ctx)
}

// markRefused counts a refusal of a batch, see recall.
func (tx *Tx) markRefused(ctx context.Context, batch []Message, reason string) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE messages SET attempts = attempts + 1, last_error = ?
		WHERE state = 'pending' AND seq IN (SELECT value FROM json_each(?))`, reason, numbers(batch))
	return err
}

// bury gives one message up. Those that were refused together with it are cleared: a later
// flusher would go on with the search among them, see recall.
func (tx *Tx) bury(ctx context.Context, m Message, reason string) (settled int, err error) {
	n, err := tx.change(ctx, `
		UPDATE messages SET state = 'dead', attempts = attempts + 1, last_error = ?, settled_at = ?
		WHERE state = 'pending' AND seq = ?`, reason, tx.now.UnixMilli(), m.Seq)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE messages SET attempts = 0, last_error = NULL
		WHERE attempts > 0 AND seq IN (SELECT seq FROM messages WHERE state = 'pending' ORDER BY seq LIMIT ?)`, maxBatch)
	return int(n), err
}

const (
	// lastProbe is in how many runs a message has to be refused alone, and probePeriod over how
	// long, until it is given up without proof, so that it does not hold up the others.
	lastProbe   = 3
	probePeriod = time.Hour
)

// probe counts that a message was refused alone by a server that has not accepted anything.
func (tx *Tx) probe(ctx context.Context, m Message, reason string) (settled int, err error) {
	var times, first int64
	err = tx.QueryRowContext(ctx, `
		UPDATE messages SET probed = probed + 1, probed_at = coalesce(probed_at, ?), last_error = ? WHERE seq = ?
		RETURNING probed, probed_at`, tx.now.UnixMilli(), reason, m.Seq).Scan(&times, &first)
	if err != nil || times < lastProbe || tx.now.Sub(time.UnixMilli(first)) < probePeriod {
		return 0, err
	}
	return tx.bury(ctx, m, reason)
}

// numbers returns the messages' numbers as a JSON array, one parameter for any length.
func numbers(batch []Message) string {
	seqs := make([]int64, len(batch))
	for i, m := range batch {
		seqs[i] = m.Seq
	}
	return numberList(seqs)
}

func numberList(seqs []int64) string {
	if len(seqs) == 0 {
		return "[]"
	}
	list, err := json.Marshal(seqs)
	if err != nil { // integers always encode
		panic(err)
	}
	return string(list)
}
