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
// refused batch stand at the head of the queue and share a number of attempts. Without proof no
// attempt was counted, but the first of them says that there was a refusal.
func (s *search) recall(head []Message) {
	if s.started {
		return
	}
	s.started = true
	if !s.proven && len(head) > 0 && head[0].LastError != "" {
		s.suspects = len(head)
		return
	}
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
	batch, err := d.takeDecided(ctx)
	if err == nil && len(batch.ask) > 0 {
		for _, name := range batch.ask {
			d.asked[name] = true
		}
		if err := d.outbox.cfg.Resolve(ctx, d.outbox, batch.ask); err != nil {
			return nil, fmt.Errorf("resolve: %w", err)
		}
		batch, err = d.takeDecided(ctx)
	}
	if err != nil && ctx.Err() != nil {
		return nil, timeUp(ctx)
	}
	if err == nil && len(batch.messages) == 0 && len(d.search.probed) > 0 {
		return nil, d.giveUp(ctx)
	}
	return batch.messages, err
}

// taken is what a transaction has found to be sent.
type taken struct {
	messages []Message
	ask      []string // names to be asked about first; there are no messages then
	whole    bool     // nothing has to be asked about
	newest   int64    // see delivery
	search   search
	seen     store.Version
}

func (d *delivery) takeDecided(ctx context.Context) (found taken, err error) {
	var delay *Delay
	var housekept sql.NullInt64
	err = d.outbox.Update(ctx, func(tx *Tx) (err error) {
		if delay, housekept = nil, tx.housekept; !d.started {
			if delay, err = d.tooEarly(ctx, tx); delay != nil || err != nil {
				return err
			}
		}
		found, err = d.next(ctx, tx, d.search)
		return err
	})
	if err == nil && delay != nil {
		err = delay
	}
	if err != nil {
		return found, err
	}
	d.started, d.housekept = true, housekept
	d.accept(found)
	return found, nil
}

// accept keeps what a transaction has found, once it is committed.
func (d *delivery) accept(found taken) {
	d.newest, d.search, d.seen = found.newest, found.search, found.seen
}

// next finds the messages to be sent next. It asks for Resolve when messages are held under names
// that it has not seen yet, and takes none then. Those it has seen and left are decided here, as
// late as possible, as their anon id; from then on they never change. A held alias waits for a
// later answer.
func (d *delivery) next(ctx context.Context, tx *Tx, s search) (found taken, err error) {
	found.search = s
	if !tx.mayRecord() {
		return found, ErrOff
	}
	if found.newest, found.ask, err = d.newNames(ctx, tx); err != nil || len(found.ask) > 0 {
		return found, err
	}
	head, err := tx.head(ctx, s.probed)
	if err != nil {
		return found, err
	}
	if s.proven, err = d.isProven(ctx, tx, s); err != nil {
		return found, err
	}
	s.recall(head)
	found.search, found.messages = s, head[:min(len(head), s.size())]
	if err := d.release(ctx, tx, found.messages); err != nil {
		return found, err
	}
	found.seen, err = d.outbox.store.VersionIn(ctx, tx.Tx)
	return found, err
}

// newNames returns the names, of messages that came since the last look, that were not asked
// about in this run, and where that look ended. A steady stream of messages under one name is asked
// about once.
func (d *delivery) newNames(ctx context.Context, tx *Tx) (newest int64, ask []string, err error) {
	if d.outbox.cfg.Resolve == nil {
		return 0, nil, nil
	}
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM messages WHERE distinct_id IS NULL`).Scan(&newest)
	if err != nil || newest <= d.newest {
		return d.newest, nil, err
	}
	names, err := tx.names(ctx, d.newest)
	if err != nil {
		return d.newest, nil, err
	}
	for _, name := range names {
		if !d.asked[name] {
			ask = append(ask, name)
		}
	}
	return newest, ask, nil
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
	err = o.Update(ctx, func(tx *Tx) (err error) {
		some, held, err = tx.sendable(ctx)
		return err
	})
	return some, held, err
}

func (tx *Tx) sendable(ctx context.Context) (some, held bool, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM messages WHERE state = 'pending' AND (distinct_id IS NOT NULL OR kind = 'capture')),
		       EXISTS (SELECT 1 FROM messages WHERE distinct_id IS NULL AND kind = 'capture')`).Scan(&some, &held)
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

// settleRoom is what settling a batch may write, in bytes: the pages that it is on, those of its indexes,
// and some more.
func settleRoom(batch []Message) (size int64) {
	size = 64 << 10
	for _, m := range batch {
		size += 512 + int64(len(m.Properties))
	}
	return size
}

// reserve looks once more, when the request is about to leave: since the batch was taken the user
// may have switched tracking off or erased it. What cannot be settled, because the disk is full,
// is not sent.
func (d *delivery) reserve(ctx context.Context, batch []Message) error {
	if err := d.outbox.store.Reserve(ctx, settleRoom(batch)); err != nil {
		return err
	}
	if version, err := d.outbox.store.Version(ctx); err == nil && version == d.seen {
		return nil
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

// settle writes down what became of a batch and takes the next one, in one transaction. It does so
// even when ctx has just ended: what is known must not be forgotten.
func (d *delivery) settle(ctx context.Context, batch []Message, v Answer) (next []Message, err error) {
	var settled Result
	var delay *Delay
	var found taken
	ended := ctx.Err() != nil
	lasting := context.WithoutCancel(ctx)
	err = d.outbox.Update(lasting, func(tx *Tx) (err error) {
		settled, delay, found = Result{}, nil, taken{}
		switch {
		case v.Outcome == Accepted:
			if settled.Delivered, err = d.deliver(lasting, tx, batch); err == nil && !ended {
				found, err = d.follow(lasting, tx, len(batch))
			}
		case v.Outcome != Refused:
			delay = &Delay{Reason: v.Reason, Code: v.Code}
			err = tx.postpone(lasting, v)
		case len(batch) == 1 && (d.search.proven || v.Code == unsendable):
			settled.Dead, err = tx.bury(lasting, batch[0], v.Reason)
		case len(batch) == 1:
			settled.Dead, err = tx.probe(lasting, batch[0], v.Reason)
		case d.search.proven:
			err = tx.markRefused(lasting, batch, v.Reason)
		default:
			_, err = tx.ExecContext(lasting, `UPDATE messages SET last_error = ? WHERE seq = ?`, v.Reason, batch[0].Seq)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("settle: %w", err)
	}
	d.outbox.cfg.Point("settled")
	d.total.Delivered += settled.Delivered
	d.total.Dead += settled.Dead
	switch {
	case delay != nil:
		return nil, delay
	case v.Outcome == Accepted && found.whole:
		d.accept(found)
		return found.messages, nil
	case v.Outcome == Accepted:
		d.search.accepted(len(batch))
		return d.take(ctx)
	}
	if err := d.narrow(ctx, batch, settled); err != nil {
		return nil, err
	}
	return d.take(ctx)
}

// follow finds what comes behind an accepted batch. What has to be asked about or is forbidden is
// left to take: the settlement holds all the same.
func (d *delivery) follow(ctx context.Context, tx *Tx, accepted int) (found taken, err error) {
	if !tx.mayRecord() {
		return found, nil
	}
	s := d.search
	s.accepted(accepted)
	found, err = d.next(ctx, tx, s)
	found.whole = len(found.ask) == 0
	return found, err
}

// narrow tells the search what came of a refused batch. It returns a *Delay when there is nothing
// more to try on a server that has not proved itself.
func (d *delivery) narrow(ctx context.Context, batch []Message, settled Result) error {
	s := &d.search
	if len(batch) > 1 || settled.Dead > 0 {
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
	err := d.outbox.Update(ctx, func(tx *Tx) error { return tx.postpone(ctx, Answer{Verdict: v}) })
	return errors.Join(&Delay{Reason: v.Reason, Code: v.Code}, err)
}

// isProven tells whether the sink's endpoint has ever accepted anything.
func (d *delivery) isProven(ctx context.Context, tx *Tx, s search) (proven bool, err error) {
	if s.proven {
		return true, nil
	}
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM endpoints WHERE endpoint = ?)`,
		d.outbox.cfg.Sink.Endpoint()).Scan(&proven)
	return proven, err
}

// deliver settles a batch by the numbers of its messages, not by a range: an alias inside the
// range may have been decided since, and was not sent. It leaves receipts, and drops those over their
// cap at once, oldest first. A batch behind which as many wait as there may be receipts leaves none:
// theirs would replace them within the same drain, and writing both was a third of its time. Nor does
// one on a disk with little room: that is for what waits. Like
// bury it tells how many messages of the batch were still there to be settled.
func (d *delivery) deliver(ctx context.Context, tx *Tx, batch []Message) (settled int, err error) {
	var behind int
	err = tx.QueryRowContext(ctx, `
		SELECT count(*) FROM (SELECT 1 FROM messages WHERE state = 'pending' AND seq > ? LIMIT ?)`,
		batch[len(batch)-1].Seq, maxReceipts).Scan(&behind)
	if err != nil {
		return 0, err
	}
	var n int64
	if behind == maxReceipts || d.outbox.store.IsTight() {
		n, err = tx.change(ctx, `
			DELETE FROM messages WHERE state = 'pending' AND seq IN (SELECT value FROM json_each(?))`, numbers(batch))
	} else {
		n, err = tx.markDelivered(ctx, batch)
	}
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

func (tx *Tx) markDelivered(ctx context.Context, batch []Message) (rows int64, err error) {
	rows, err = tx.change(ctx, `
		UPDATE messages SET state = 'delivered', settled_at = ?, last_error = NULL
		WHERE state = 'pending' AND seq IN (SELECT value FROM json_each(?))`, tx.now.UnixMilli(), numbers(batch))
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `
		DELETE FROM messages WHERE state = 'delivered' AND seq <=
			(SELECT seq FROM messages WHERE state = 'delivered' ORDER BY seq DESC LIMIT 1 OFFSET ?)`, maxReceipts)
	return rows, err
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
