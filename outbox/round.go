package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

const (
	// requestTimeout bounds a flusher's request, from the first byte to the last of the answer.
	requestTimeout = 8 * time.Second
	// fairTime is how long a server must have had for its silence to say something about it.
	fairTime = 5 * time.Second
	// tightBatch is how many messages are sent at once where the disk is tight: settling them writes some
	// 100 kB.
	tightBatch = 20
	// maxReason bounds, in bytes, what a sink may say.
	maxReason = 200
)

// delivery is one run of a flusher.
type delivery struct {
	outbox   *Outbox
	byHand   bool          // a person waits: ctx alone bounds a request, and our own back-off does not count
	lingers  bool          // it waits for more when all is delivered
	wait     time.Duration // how long it waits for the flusher at work
	patience time.Duration // how long it waits for a back-off to end
	progress func(Result)
	heard    func() // lets go the command that waits for the first round; may be called again

	total     Result
	server    endpoint
	asked     map[string]bool // names: each is asked about once in a run
	looked    bool            // for names, since the lock was taken
	started   bool            // it was not too early, since the lock was taken
	seen      store.Version   // of the database when the batch was taken
	slow      bool            // the server has kept a request waiting in vain: the batch size does not grow
	lingering time.Time       // until then at most
	housekept sql.NullInt64   // see housekeep
}

// Result counts what a run settled.
type Result struct {
	Delivered int
	Dead      int
}

// reply is what became of a request.
type reply struct {
	sent   []Message // nil: there was none
	answer Answer
	took   time.Duration
	// goesOn is whether what the request leaves is for this run, or for its timeUp, and not for a back-off.
	goesOn bool
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
		d.heard()
		if d.progress != nil {
			d.progress(d.total)
		}
	}
	return nil
}

// round settles what came back, if something did, and takes what goes next, in one transaction. It
// returns no messages when none is left that can be sent.
func (d *delivery) round(ctx context.Context, came reply) (next []Message, err error) {
	lasting := ctx
	if came.sent != nil { // what is known must not be forgotten, even when the time is up
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
		if stop, err = d.mayGoOn(ctx, tx); err != nil || stop != nil {
			return err
		}
		if next, ask, err = d.take(lasting, tx); err != nil {
			return err
		}
		d.seen, err = d.outbox.store.VersionIn(lasting, tx.Tx)
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
	d.started, d.looked = true, true
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

// settle writes down what became of each message of a request. The run stops where one has to stay
// pending for a while.
func (d *delivery) settle(ctx context.Context, tx *Tx, came reply) (settled Result, stop error, err error) {
	if came.sent == nil {
		return settled, nil, nil
	}
	known := d.server
	if err := d.learn(ctx, tx, &came); err != nil {
		return settled, nil, err
	}
	var accepted []Message
	var left *Verdict
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
			left = &v
		}
	}
	if settled.Delivered, err = tx.deliver(ctx, accepted, d.outbox.store.IsTight()); err != nil {
		return settled, nil, err
	}
	d.grow(tx, came, len(accepted))
	if d.server != known {
		if err := tx.saveEndpoint(ctx, d.server); err != nil {
			return settled, nil, err
		}
	}
	if left == nil {
		return settled, nil, nil
	}
	stop = &Delay{Reason: left.Reason, Code: left.Code}
	return settled, stop, tx.postpone(ctx, *left, came.answer.RetryAfter, d.outbox.cfg.Jitter())
}

// learn finds out what a refusal of the request as a whole means, and replaces its verdict.
func (d *delivery) learn(ctx context.Context, tx *Tx, came *reply) error {
	v := &came.answer.Verdict
	if came.answer.Each != nil || v.Outcome != Fewer {
		return nil
	}
	switch n := len(came.sent); {
	case v.Code == CodeTimeout: // never makes a message dead: the line may be slow
		d.slow, v.Outcome = true, Later
		if came.took < fairTime {
			break
		}
		if d.server.size = max(n/2, 1); n > 1 && came.goesOn {
			v.Outcome = Fewer
		}
	case n > 1:
		d.server.size = n / 2
	case came.answer.Proven || d.server.acceptedAt.Valid:
		v.Outcome = Refused
	default:
		enough, err := tx.refuseAlone(ctx, came.sent[0], v.Reason)
		if v.Outcome = Refused; err != nil || enough {
			return err
		}
		*v = Verdict{Outcome: Later, Code: CodeForeign, Reason: "refused by a server that has never accepted anything"}
	}
	return nil
}

// grow lets the batch size follow what the server has taken.
func (d *delivery) grow(tx *Tx, came reply, accepted int) {
	if accepted == 0 {
		return
	}
	d.server.accepted(tx.now, came.answer.Memo)
	if accepted == d.server.size && came.took <= quick && !d.slow {
		d.server.size = min(2*accepted, largest)
	}
}

// mayGoOn tells why the run has to stop before it takes anything, nil when nothing is in the way.
func (d *delivery) mayGoOn(ctx context.Context, tx *Tx) (stop error, err error) {
	if !tx.mayAdd {
		return ErrOff, nil
	}
	if ctx.Err() != nil {
		some, _, err := tx.sendable(context.WithoutCancel(ctx))
		if err == nil && some {
			stop = timeUp(ctx)
		}
		return stop, err
	}
	if d.started {
		return nil, nil
	}
	return d.begin(ctx, tx)
}

// begin looks whether it is too early for a run, and notes for how long a patient flusher sits that out.
func (d *delivery) begin(ctx context.Context, tx *Tx) (stop error, err error) {
	d.housekept = tx.housekept
	d.slow = d.slow || tx.schedule.Failures > 0 && tx.schedule.LastCode == CodeTimeout
	next := tx.schedule.Next(tx.now)
	if d.byHand {
		next = tx.schedule.ServerHold(tx.now)
	}
	if next.IsZero() {
		if tx.schedule.WaitingUntil.IsZero() || d.byHand {
			return nil, nil
		}
		return nil, tx.setWaiting(ctx, time.Time{})
	}
	stop = &Delay{Reason: tx.schedule.LastError, Code: tx.schedule.LastCode, Until: next}
	if next.Sub(tx.now) > d.patience || tx.schedule.WaitingUntil.Equal(next) { // another one sits it out
		d.patience = 0
		return stop, nil
	}
	return stop, tx.setWaiting(ctx, next)
}

// take returns the messages that go next, oldest first, each of them decided. Names that messages are
// held under are asked about first; there are no messages then. A message that came later and is held
// under another name is left to the flusher that its command has started, and so is what comes behind
// it. An alias ends its request: its principal's events must not be accepted before it.
func (d *delivery) take(ctx context.Context, tx *Tx) (batch []Message, ask []string, err error) {
	if d.outbox.cfg.Resolve != nil && !d.looked {
		names, err := tx.names(ctx)
		if err != nil {
			return nil, nil, err
		}
		for _, name := range names {
			if !d.asked[name] {
				ask = append(ask, name)
			}
		}
		if len(ask) > 0 {
			return nil, ask, nil
		}
	}
	// An alias whose distinct id is not known waits without holding up what comes after it. Served by the
	// index messages_state.
	most := d.server.size
	if d.outbox.store.IsTight() {
		most = min(most, tightBatch)
	}
	batch, err = tx.selectMessages(ctx, `state = 'pending' AND (distinct_id IS NOT NULL OR kind = 'capture')
		ORDER BY seq LIMIT ?`, most)
	if err != nil {
		return nil, nil, err
	}
	for i, m := range batch {
		if m.DistinctID == "" && d.outbox.cfg.Resolve != nil && !d.asked[m.Hold] {
			batch = batch[:i]
			break
		}
		if m.Kind == Alias {
			batch = batch[:i+1]
			break
		}
	}
	if err := d.rehearse(ctx, tx, batch); err != nil {
		return nil, nil, err
	}
	return batch, nil, d.release(ctx, tx, batch)
}

// rehearse writes the rows of the batch as they are where the disk is tight: what cannot be settled
// would be sent again by each command. With no room it fails, and nothing is sent.
func (d *delivery) rehearse(ctx context.Context, tx *Tx, batch []Message) error {
	if len(batch) == 0 || !d.outbox.store.IsTight() {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE messages SET attempts = attempts WHERE seq IN (SELECT value FROM json_each(?))`, numbers(batch))
	if err != nil {
		return fmt.Errorf("look for room: %w", err)
	}
	return nil
}

// names returns the names that messages are held under. It is served by the index messages_undecided.
func (tx *Tx) names(ctx context.Context) (names []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT coalesce(hold, '') FROM messages WHERE distinct_id IS NULL`)
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
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read held messages: %w", err)
	}
	return names, nil
}

// release decides what is still held in the batch, as late as possible, as its anon id. From then on it
// never changes.
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

// isWanted looks once more when the request is about to leave: since the messages were taken the user
// may have switched tracking off, or erased them.
func (d *delivery) isWanted(ctx context.Context, messages []Message) (wanted bool, err error) {
	if version, err := d.outbox.store.Version(ctx); err == nil && version == d.seen {
		return true, nil
	}
	err = d.outbox.Update(ctx, func(tx *Tx) error {
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

// send makes one request of the first messages, and judges a message that no server could take. The
// reply is empty when the messages are no longer wanted.
func (d *delivery) send(ctx context.Context, batch []Message) (came reply, err error) {
	sink := d.outbox.cfg.Sink
	body, n, encodeErr := sink.Encode(batch)
	bad, unsendable := errors.AsType[*Unsendable](encodeErr)
	switch {
	case unsendable && bad.Index >= 0 && bad.Index < len(batch) && isReason(bad.Reason):
		refused := Verdict{Outcome: Refused, Code: CodeRefused, Reason: bad.Reason}
		return reply{sent: batch[bad.Index : bad.Index+1], answer: Answer{Verdict: refused}}, nil
	case encodeErr != nil:
		return d.broken(batch, "cannot encode a message and does not say which one and why"), nil
	case n < 1 || n > len(batch):
		return d.broken(batch, fmt.Sprintf("has encoded %d of %d messages", n, len(batch))), nil
	}
	if wanted, err := d.isWanted(ctx, batch[:n]); err != nil || !wanted {
		return came, err
	}
	d.outbox.cfg.Point("before-request")
	requesting, cancel := ctx, func() {}
	if !d.byHand {
		requesting, cancel = context.WithTimeout(ctx, requestTimeout)
	}
	defer cancel()
	began := d.outbox.cfg.Now()
	answer := sink.Send(requesting, Request{Body: body, Messages: batch[:n], Memo: d.server.memo.String})
	d.outbox.cfg.Point("after-request")
	if fault := faultOf(answer, n); fault != "" {
		return d.broken(batch, fault), nil
	}
	return reply{
		sent: batch[:n], answer: answer, took: d.outbox.cfg.Now().Sub(began),
		goesOn: hasTime(ctx) || d.byHand && ctx.Err() != nil,
	}, nil
}

// broken is the reply where the sink breaks the rules of Sink: nothing counts as delivered.
func (d *delivery) broken(batch []Message, fault string) reply {
	reason := fmt.Sprintf("the sink %T %s", d.outbox.cfg.Sink, fault)
	return reply{sent: batch, answer: Answer{Verdict: Verdict{Outcome: Later, Code: CodeSink, Reason: reason}}}
}

// faultOf tells which rule of Sink an answer to a request of n messages breaks, "" for none.
func faultOf(a Answer, n int) string {
	if a.Each == nil {
		return faultOfOne(a.Verdict, Fewer, NotAllowed)
	}
	if len(a.Each) != n {
		return fmt.Sprintf("has answered with %d verdicts for %d messages", len(a.Each), n)
	}
	for _, v := range a.Each {
		if fault := faultOfOne(v, Refused, Refused); fault != "" {
			return fault
		}
	}
	return ""
}

// faultOfOne allows two outcomes beside those that are always allowed.
func faultOfOne(v Verdict, one, other Outcome) string {
	switch {
	case v.Outcome == Accepted:
		return ""
	case v.Outcome != Later && v.Outcome != one && v.Outcome != other:
		return fmt.Sprintf("has answered with the outcome %d", v.Outcome)
	case v.Code == "" || !isReason(v.Reason):
		return "has given no reason, or a long one"
	}
	return ""
}

func isReason(reason string) bool { return reason != "" && len(reason) <= maxReason }

// isCutShort tells whether a request ended because the process has to leave, which says nothing about
// the server.
func (r reply) isCutShort(ctx context.Context) bool {
	if ctx.Err() == nil || r.answer.Each != nil || r.answer.Outcome != Later && r.answer.Outcome != Fewer {
		return false
	}
	return errors.Is(ctx.Err(), context.Canceled) || r.took < fairTime
}

// hasTime tells whether the run goes on long enough for another request to say something.
func hasTime(ctx context.Context) bool {
	deadline, bounded := ctx.Deadline()
	return ctx.Err() == nil && (!bounded || time.Until(deadline) > fairTime)
}

// timeUp says why a run ended with messages left.
func timeUp(ctx context.Context) *Delay {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &Delay{Reason: "interrupted", Code: CodeInterrupted}
	}
	return &Delay{Reason: "the time was up", Code: CodeTimeUp}
}
