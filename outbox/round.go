package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

const (
	// quick is how fast a batch must have been accepted for the next to be of twice its size.
	quick = 2 * time.Second
	// tightBatch is the most messages in a request on a disk with little room: settling them writes
	// about 100 kB.
	tightBatch = 20
)

// drain sends request after request until nothing is left that can be sent.
func (d *delivery) drain(ctx context.Context) error {
	batch, err := d.round(ctx, reply{})
	for err == nil && len(batch) > 0 {
		if ctx.Err() != nil {
			return timeUp(ctx)
		}
		d.cfg.Point("claimed")
		came, sendErr := d.send(ctx, batch)
		d.cfg.Point("answered")
		if sendErr != nil {
			return sendErr
		}
		if batch, err = d.round(ctx, came); err == nil {
			d.unblock()
			d.progress(d.total)
		}
	}
	return err
}

// round settles the reply, if there is one, and takes the messages that go next, in one transaction.
// It returns no messages when none is left that can be sent.
func (d *delivery) round(ctx context.Context, came reply) (next []Message, err error) {
	lasting := ctx
	if came.sent != nil { // an answer must be stored even when the time is up
		lasting = context.WithoutCancel(ctx)
	}
	var settled Result
	var stop error
	var ask []string
	err = d.Update(lasting, func(tx *Tx) (err error) {
		next, ask, d.staysUntil = nil, nil, time.Time{}
		if d.server, err = tx.endpoint(lasting, d.cfg.Sink.Endpoint()); err != nil {
			return err
		}
		if settled, stop, err = d.settle(lasting, tx, came); err != nil || stop != nil {
			return err
		}
		if stop, err = d.mayBegin(lasting, tx); err != nil || stop != nil {
			return err
		}
		next, ask, err = d.take(ctx, tx)
		return err
	})
	switch {
	case err != nil && came.sent == nil && ctx.Err() != nil:
		return nil, timeUp(ctx)
	case err != nil:
		return nil, fmt.Errorf("deliver: %w", err)
	}
	d.total.Delivered += settled.Delivered
	d.total.Dead += settled.Dead
	if came.sent != nil {
		d.cfg.Point("settled")
	}
	if stop != nil {
		return nil, stop
	}
	d.started = true
	if len(ask) == 0 {
		return next, nil
	}
	for _, name := range ask {
		d.asked[name] = true
	}
	if err := d.cfg.Resolve(ctx, d.Outbox, ask); err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	return d.round(ctx, reply{})
}

// settle stores the fate of each message of a request. A message that has to wait stops the run.
func (d *delivery) settle(ctx context.Context, tx *Tx, came reply) (settled Result, stop, err error) {
	if came.sent == nil {
		return settled, nil, nil
	}
	known := d.server
	whole, err := d.learn(ctx, tx, came)
	if err != nil {
		return settled, nil, err
	}
	var accepted []Message
	var waits *Verdict
	for i, m := range came.sent {
		v := whole
		if came.answer.Each != nil {
			v = came.answer.Each[i]
		}
		switch v.Outcome {
		case Accepted:
			accepted = append(accepted, m)
		case Refused:
			n, err := tx.bury(ctx, m, v.Reason)
			if err != nil {
				return settled, nil, err
			}
			settled.Dead += n
		case Fewer: // stays for the next, smaller request
		default:
			waits = &v
		}
	}
	if settled.Delivered, err = tx.accept(ctx, accepted, d.store.IsAlmostFull()); err != nil {
		return settled, nil, err
	}
	if len(accepted) > 0 {
		d.server.accepted(tx.now, came.answer.Memo)
	}
	if len(accepted) == d.server.size && came.took <= quick && !d.timedOut {
		d.server.size = min(2*d.server.size, largest)
	}
	if d.server != known {
		err = tx.saveEndpoint(ctx, d.server)
	}
	if err != nil || waits == nil {
		return settled, nil, err
	}
	stop, err = d.postpone(ctx, tx, *waits, came.answer.RetryAfter)
	return settled, stop, err
}

// learn works out what the answer to a request as a whole means: what its refusal says about the batch size, and about a
// message that is refused alone.
func (d *delivery) learn(ctx context.Context, tx *Tx, came reply) (Verdict, error) {
	v, n := came.answer.Verdict, len(came.sent)
	if came.answer.Each != nil || v.Outcome != Fewer {
		return v, nil
	}
	if v.Code == CodeTimeout { // never makes a message dead: the line may be slow
		d.timedOut = true
		if came.took >= fairTime {
			d.server.size = max(n/2, 1)
		}
		if came.took < fairTime || n == 1 || !came.continues {
			v.Outcome = Later
		}
		return v, nil
	}
	if n > 1 {
		d.server.size = n / 2
		return v, nil
	}
	v.Outcome = Refused
	if v.Code != CodeSink && (came.answer.Proven || d.server.acceptedAt != moment{}) {
		return v, nil
	}
	enough, err := tx.countRefusal(ctx, came.sent[0], v.Reason)
	switch {
	case err != nil || enough:
		return v, err
	case v.Code != CodeSink:
		v = Verdict{Code: CodeForeign, Reason: "refused by a server that has never accepted anything"}
	}
	v.Outcome = Later
	return v, nil
}

// postpone begins the back-off for a message that has to wait, and returns it. A flusher that has sat out one
// sits out the next as well, if its patience lasts: no command has to come for the next try.
func (d *delivery) postpone(ctx context.Context, tx *Tx, waits Verdict, retryAfter time.Duration) (stop, err error) {
	failures := tx.schedule.Failures + 1
	s := Schedule{NotBefore: tx.now.Add(backOff(failures, d.cfg.Jitter()))}
	if retryAfter > 0 {
		s.RetryAfter = tx.now.Add(min(retryAfter, longestWait))
	}
	_, err = tx.exec(ctx, "note the back-off", `
		UPDATE delivery SET failures = ?, failing_since = coalesce(failing_since, ?), not_before = ?,
			retry_after = coalesce(?, 0), last_error = ?, last_code = ?`,
		failures, moment(tx.now), moment(s.NotBefore), moment(s.RetryAfter), waits.Reason, waits.Code)
	next := s.Next(tx.now)
	if err == nil && d.satOut {
		err = d.stay(ctx, tx, next)
	}
	delay := &Delay{Reason: waits.Reason, Code: waits.Code}
	if d.manual {
		delay.Until = s.RetryAfter
	}
	return delay, err
}

// stay notes that this flusher waits for a back-off to end, so that commands start no other, if its patience lasts.
func (d *delivery) stay(ctx context.Context, tx *Tx, until time.Time) error {
	if until.After(d.patience) {
		return nil
	}
	d.staysUntil = until
	return tx.setWaiting(ctx, until)
}

// mayBegin returns why no messages may be taken, or nil. At the beginning of a run that may be a back-off.
func (d *delivery) mayBegin(ctx context.Context, tx *Tx) (stop, err error) {
	if !tx.mayAdd {
		return ErrOff, nil
	}
	if d.started {
		return nil, nil
	}
	s := tx.schedule
	d.steadySince = tx.steadySince
	d.timedOut = d.timedOut || s.Failures > 0 && s.LastCode == CodeTimeout
	next := s.Next(tx.now)
	if d.manual {
		next = ahead(s.RetryAfter, tx.now)
	}
	switch {
	case !next.IsZero() && s.WaitingUntil.Equal(next): // another flusher waits for it
	case !next.IsZero():
		err = d.stay(ctx, tx, next)
	case !s.WaitingUntil.IsZero() && !d.manual:
		return nil, tx.setWaiting(ctx, time.Time{})
	default:
		return nil, nil
	}
	return &Delay{Reason: s.LastError, Code: s.LastCode, Until: next}, err
}

// take returns the messages that go next, oldest first, each with its distinct id; or the names that
// messages are held under and that Resolve has to be asked about first.
func (d *delivery) take(ctx context.Context, tx *Tx) (batch []Message, ask []string, err error) {
	isOver := ctx.Err() != nil // then they are only looked for
	ctx = context.WithoutCancel(ctx)
	resolves := d.cfg.Resolve != nil
	if resolves && !d.started {
		if ask, err = d.unasked(ctx, tx); err != nil || len(ask) > 0 {
			return nil, ask, err
		}
	}
	most := d.server.size
	if d.store.IsAlmostFull() {
		most = min(most, tightBatch)
	}
	var held []Message
	// An alias whose distinct id is not known waits without holding up what comes after it. Served by the
	// index messages_state.
	for m, err := range tx.where(ctx, `state = 'pending' AND (distinct_id IS NOT NULL OR kind = 'capture')
		ORDER BY seq LIMIT ?`, most) {
		if err != nil {
			return nil, nil, err
		}
		if m.DistinctID == "" {
			if resolves && !d.asked[m.Hold] { // it came later, and is left to the flusher that its command has started
				break
			}
			m.DistinctID, m.Hold = m.AnonID, ""
			held = append(held, m)
		}
		batch = append(batch, m)
		if m.Kind == Alias { // its principal's events must not be accepted before it
			break
		}
	}
	if isOver {
		return batch, nil, nil
	}
	return batch, nil, d.release(ctx, tx, held)
}

// unasked returns the names that messages are held under and that Resolve was not asked about in this
// run. Served by the index messages_undecided.
func (d *delivery) unasked(ctx context.Context, tx *Tx) (names []string, err error) {
	var list string
	err = tx.QueryRowContext(ctx, `
		SELECT json_group_array(DISTINCT coalesce(hold, '')) FROM messages WHERE distinct_id IS NULL`).Scan(&list)
	if err == nil {
		err = json.Unmarshal([]byte(list), &names)
	}
	if err != nil {
		return nil, fmt.Errorf("read held messages: %w", err)
	}
	return slices.DeleteFunc(names, func(name string) bool { return d.asked[name] }), nil
}

// release gives what is still held to its anon id, as late as possible. From then on it never changes.
func (d *delivery) release(ctx context.Context, tx *Tx, held []Message) error {
	if len(held) == 0 {
		return nil
	}
	_, err := tx.exec(ctx, "decide messages",
		`UPDATE messages SET distinct_id = anon_id, hold = NULL WHERE seq IN (SELECT value FROM json_each(?))`, numbers(held))
	told := map[string]bool{}
	for _, m := range held {
		if err == nil && d.cfg.Released != nil && !told[m.AnonID] {
			told[m.AnonID] = true
			err = d.cfg.Released(ctx, tx, m.AnonID)
		}
	}
	return err
}
