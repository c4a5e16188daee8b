package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// requestTimeout bounds a flusher's request, from the first byte to the last of the answer.
	requestTimeout = 8 * time.Second
	// fairTime is how long a server must have had before its silence says something about it.
	fairTime = 5 * time.Second
	// tightBatch is the most messages in a request on a disk with little room: settling them writes
	// about 100 kB.
	tightBatch = 20
	// maxReason bounds a sink's reason, in bytes.
	maxReason = 200
)

// delivery is one run of a flusher.
type delivery struct {
	outbox   *Outbox
	manual   bool          // Flush: only ctx bounds a request, and our own back-off is ignored
	lingers  bool          // wait for more once everything is delivered
	lockWait time.Duration // for the flusher at work
	patience time.Duration // what is left of it, for back-offs to end
	progress func(Result)
	unblock  func() // releases the command that waits for the first round; may be called again

	total       Result
	server      endpoint
	asked       map[string]bool // names given to Resolve, each once in a run
	started     bool            // since the lock was taken: no back-off was in the way, and Resolve knows what is held
	satOut      bool            // it has waited for a back-off to end
	timedOut    bool            // a request was not answered in time: the batch size does not grow
	lingerUntil time.Time
	steadySince time.Time // the clock, see housekeep
}

// Result counts what a run settled.
type Result struct {
	Delivered int
	Dead      int
}

// reply is what a request came to. The zero reply is that of no request.
type reply struct {
	sent   []Message
	answer Answer
	took   time.Duration
	// continues reports whether the run has time for another request, or ends with a timeUp of its
	// own: what is left then needs no back-off.
	continues bool
}

func (r reply) verdict(i int) Verdict {
	if r.answer.Each != nil {
		return r.answer.Each[i]
	}
	return r.answer.Verdict
}

// drain sends request after request until nothing is left that can be sent.
func (d *delivery) drain(ctx context.Context) error {
	batch, err := d.round(ctx, reply{})
	if err != nil {
		return err
	}
	for len(batch) > 0 {
		d.outbox.cfg.Point("claimed")
		came, err := d.send(ctx, batch)
		d.outbox.cfg.Point("answered")
		if err != nil {
			return err
		}
		if came.isCutShort(ctx) {
			return timeUp(ctx)
		}
		if batch, err = d.round(ctx, came); err != nil {
			return err
		}
		d.unblock()
		if d.progress != nil {
			d.progress(d.total)
		}
	}
	return nil
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
	err = d.outbox.Update(lasting, func(tx *Tx) (err error) {
		next, ask = nil, nil
		if d.server, err = tx.endpoint(lasting, d.outbox.cfg.Sink.Endpoint()); err != nil {
			return err
		}
		if settled, stop, err = d.settle(lasting, tx, came); err != nil || stop != nil {
			return err
		}
		if stop, err = d.mayContinue(ctx, tx); err != nil || stop != nil {
			return err
		}
		next, ask, err = d.take(lasting, tx)
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
		d.outbox.cfg.Point("settled")
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
	if err := d.outbox.cfg.Resolve(ctx, d.outbox, ask); err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	return d.round(ctx, reply{})
}

// settle stores the fate of each message of a request. A message that has to wait stops the run.
func (d *delivery) settle(ctx context.Context, tx *Tx, came reply) (settled Result, stop error, err error) {
	if came.sent == nil {
		return settled, nil, nil
	}
	known := d.server
	if err := d.learn(ctx, tx, &came); err != nil {
		return settled, nil, err
	}
	var accepted []Message
	var waits *Verdict
	for i, m := range came.sent {
		switch v := came.verdict(i); v.Outcome {
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
	if settled.Delivered, err = tx.accept(ctx, accepted, d.outbox.store.IsAlmostFull()); err != nil {
		return settled, nil, err
	}
	d.grow(tx, came, len(accepted))
	if d.server != known {
		if err := tx.saveEndpoint(ctx, d.server); err != nil {
			return settled, nil, err
		}
	}
	if waits == nil {
		return settled, nil, nil
	}
	delay := &Delay{Reason: waits.Reason, Code: waits.Code}
	next, err := tx.postpone(ctx, *waits, came.answer.RetryAfter, d.outbox.cfg.Jitter())
	d.patience -= came.took
	if d.manual && came.answer.RetryAfter > 0 { // which Flush heeds, too
		delay.Until = next
	}
	if err == nil && d.satOut && next.Sub(tx.now) <= d.patience { // no command has to come for the next try
		delay.Until = next
		err = tx.setWaiting(ctx, next)
	}
	return settled, delay, err
}

// learn works out what the refusal of a whole request means, and replaces its verdict.
func (d *delivery) learn(ctx context.Context, tx *Tx, came *reply) error {
	v := &came.answer.Verdict
	if came.answer.Each != nil || v.Outcome != Fewer {
		return nil
	}
	switch n := len(came.sent); {
	case v.Code == CodeTimeout: // never makes a message dead: the line may be slow
		d.timedOut, v.Outcome = true, Later
		if came.took < fairTime {
			break
		}
		if d.server.size = max(n/2, 1); n > 1 && came.continues {
			v.Outcome = Fewer
		}
	case n > 1:
		d.server.size = n / 2
	case came.answer.Proven || d.server.hasAccepted():
		v.Outcome = Refused
	default:
		enough, err := tx.countRefusal(ctx, came.sent[0], v.Reason)
		if v.Outcome = Refused; err != nil || enough {
			return err
		}
		*v = Verdict{Outcome: Later, Code: CodeForeign, Reason: "refused by a server that has never accepted anything"}
	}
	return nil
}

// grow adapts the batch size to what the server has accepted.
func (d *delivery) grow(tx *Tx, came reply, accepted int) {
	if accepted == 0 {
		return
	}
	d.server.accepted(tx.now, came.answer.Memo)
	if accepted == d.server.size && came.took <= quick && !d.timedOut {
		d.server.size = min(2*accepted, largest)
	}
}

// mayContinue returns why the run has to stop before it takes messages, or nil. At its start that may be a back-off: a patient
// flusher that will wait for its end notes that it does, so that commands start no other.
func (d *delivery) mayContinue(ctx context.Context, tx *Tx) (stop error, err error) {
	switch {
	case !tx.mayAdd:
		return ErrOff, nil
	case ctx.Err() != nil:
		some, _, err := tx.sendable(context.WithoutCancel(ctx))
		if err == nil && some {
			stop = timeUp(ctx)
		}
		return stop, err
	case d.started:
		return nil, nil
	}
	s := tx.schedule
	d.steadySince = tx.steadySince
	d.timedOut = d.timedOut || s.Failures > 0 && s.LastCode == CodeTimeout
	next := s.Next(tx.now)
	if d.manual {
		next = s.ServerWait(tx.now)
	}
	switch {
	case next.IsZero() && (s.WaitingUntil.IsZero() || d.manual):
		return nil, nil
	case next.IsZero():
		return nil, tx.setWaiting(ctx, time.Time{})
	}
	stop = &Delay{Reason: s.LastError, Code: s.LastCode, Until: next}
	if next.Sub(tx.now) > d.patience || s.WaitingUntil.Equal(next) { // another flusher waits for it
		d.patience = 0
		return stop, nil
	}
	return stop, tx.setWaiting(ctx, next)
}

// take returns the messages that go next, oldest first, each with its distinct id; or the names that
// messages are held under and that Resolve has to be asked about first.
func (d *delivery) take(ctx context.Context, tx *Tx) (batch []Message, ask []string, err error) {
	if d.outbox.cfg.Resolve != nil && !d.started {
		if ask, err = d.unasked(ctx, tx); err != nil || len(ask) > 0 {
			return nil, ask, err
		}
	}
	most := d.server.size
	if d.outbox.store.IsAlmostFull() {
		most = min(most, tightBatch)
	}
	// An alias whose distinct id is not known waits without holding up what comes after it. Served by the
	// index messages_state.
	batch, err = tx.selectMessages(ctx, `state = 'pending' AND (distinct_id IS NOT NULL OR kind = 'capture')
		ORDER BY seq LIMIT ?`, most)
	if err != nil {
		return nil, nil, err
	}
	batch = batch[:d.cut(batch)]
	return batch, nil, d.decide(ctx, tx, batch)
}

// cut returns how many messages of the batch go in one request. An alias ends its request: its
// principal's events must not be accepted before it. A message that is held under a name that came
// later is left, with all behind it, to the flusher that its command has started.
func (d *delivery) cut(batch []Message) int {
	for i, m := range batch {
		if m.DistinctID == "" && d.outbox.cfg.Resolve != nil && !d.asked[m.Hold] {
			return i
		}
		if m.Kind == Alias {
			return i + 1
		}
	}
	return len(batch)
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

// decide gives what is still held in the batch to its anon id, as late as possible. From then on it
// never changes.
func (d *delivery) decide(ctx context.Context, tx *Tx, batch []Message) error {
	released := map[string]bool{}
	for i := range batch {
		m := &batch[i]
		if m.DistinctID != "" {
			continue
		}
		m.DistinctID, m.Hold = m.AnonID, ""
		if _, err := tx.ExecContext(ctx, `UPDATE messages SET distinct_id = anon_id, hold = NULL WHERE seq = ?`, m.Seq); err != nil {
			return fmt.Errorf("decide messages: %w", err)
		}
		if d.outbox.cfg.Released != nil && !released[m.AnonID] {
			released[m.AnonID] = true
			if err := d.outbox.cfg.Released(ctx, tx, m.AnonID); err != nil {
				return err
			}
		}
	}
	return nil
}

// isWanted checks once more just before the request: since the messages were taken the user may have
// switched tracking off, or erased them. It takes no lock: from here on the
// request counts as under way, see AwaitFlusher.
func (d *delivery) isWanted(ctx context.Context, messages []Message) (wanted bool, err error) {
	err = d.outbox.View(ctx, func(tx *Tx) error {
		if !tx.mayAdd {
			return ErrOff
		}
		var left int
		err := tx.QueryRowContext(ctx, `
			SELECT count(*) FROM messages WHERE state = 'pending' AND seq IN (SELECT value FROM json_each(?))`,
			numbers(messages)).Scan(&left)
		wanted = left == len(messages)
		return err
	})
	return wanted, err
}

// send makes one request of the first messages. The reply is empty when they are no longer wanted. A
// message that no server could take is refused without a request.
func (d *delivery) send(ctx context.Context, batch []Message) (came reply, err error) {
	sink := d.outbox.cfg.Sink
	given := slices.Clone(batch) // whatever the sink does to it
	body, n, encodeErr := sink.Encode(given)
	bad, unsendable := errors.AsType[*Unsendable](encodeErr)
	switch {
	case unsendable && bad.Index >= 0 && bad.Index < len(batch) && isReason(bad.Reason):
		refused := Verdict{Outcome: Refused, Code: CodeRefused, Reason: bad.Reason}
		return reply{sent: batch[bad.Index : bad.Index+1], answer: Answer{Verdict: refused}}, nil
	case encodeErr != nil:
		return d.sinkFault(batch, "cannot encode a message and does not say which one and why"), nil
	case n < 1 || n > len(batch):
		return d.sinkFault(batch, fmt.Sprintf("has encoded %d of %d messages", n, len(batch))), nil
	}
	if wanted, err := d.isWanted(ctx, batch[:n]); err != nil || !wanted {
		return came, err
	}
	d.outbox.cfg.Point("before-request")
	requesting, cancel := ctx, func() {}
	if !d.manual {
		requesting, cancel = context.WithTimeout(ctx, requestTimeout)
	}
	defer cancel()
	began := d.outbox.cfg.Now()
	answer := sink.Send(requesting, Request{Body: body, Messages: given[:n], Memo: d.server.memo})
	d.outbox.cfg.Point("after-request")
	if fault := faultOf(answer, n); fault != "" {
		return d.sinkFault(batch, fault), nil
	}
	return reply{
		sent: batch[:n], answer: answer, took: d.outbox.cfg.Now().Sub(began),
		continues: hasTime(ctx) || d.manual && ctx.Err() != nil,
	}, nil
}

// sinkFault is the reply when the sink breaks the rules of Sink: nothing counts as delivered.
func (d *delivery) sinkFault(batch []Message, fault string) reply {
	reason := fmt.Sprintf("the sink %T %s", d.outbox.cfg.Sink, fault)
	return reply{sent: batch, answer: Answer{Verdict: Verdict{Outcome: Later, Code: CodeSink, Reason: reason}}}
}

// faultOf returns the rule of Sink that an answer to a request of n messages breaks, or "".
func faultOf(a Answer, n int) string {
	if a.Each == nil {
		return faultOfVerdict(a.Verdict, Accepted, Fewer, NotAllowed, Later)
	}
	if len(a.Each) != n {
		return fmt.Sprintf("has answered with %d verdicts for %d messages", len(a.Each), n)
	}
	for _, v := range a.Each {
		if fault := faultOfVerdict(v, Accepted, Refused, Later); fault != "" {
			return fault
		}
	}
	return ""
}

func faultOfVerdict(v Verdict, allowed ...Outcome) string {
	switch {
	case !slices.Contains(allowed, v.Outcome):
		return fmt.Sprintf("has answered with the outcome %d", v.Outcome)
	case v.Outcome != Accepted && (v.Code == "" || !isReason(v.Reason)):
		return "has given no reason, or a long one"
	}
	return ""
}

func isReason(reason string) bool { return reason != "" && len(reason) <= maxReason }

// isCutShort reports whether a request ended because the process has to end, which says nothing about
// the server.
func (r reply) isCutShort(ctx context.Context) bool {
	if ctx.Err() == nil || r.answer.Each != nil || r.answer.Outcome != Later && r.answer.Outcome != Fewer {
		return false
	}
	return errors.Is(ctx.Err(), context.Canceled) || r.took < fairTime
}

// hasTime reports whether the run lasts long enough to give another request a fair time.
func hasTime(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	return ctx.Err() == nil && (!bounded || time.Until(deadline) > fairTime)
}

// timeUp is the error of a run that ended with messages left.
func timeUp(ctx context.Context) *Delay {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &Delay{Reason: "interrupted", Code: CodeInterrupted}
	}
	return &Delay{Reason: "the time was up", Code: CodeTimeUp}
}
