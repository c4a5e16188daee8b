package outbox

import (
	"context"
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
	// maxReason bounds a sink's reason, in bytes.
	maxReason = 200
)

// delivery is one run of a flusher.
type delivery struct {
	*Outbox
	manual   bool          // Flush: only ctx bounds a request, and our own back-off is ignored
	lingers  bool          // wait for more once everything is delivered
	lockWait time.Duration // for the flusher at work
	patience time.Time     // until when it may wait for back-offs to end; zero: not at all
	progress func(Result)
	unblock  func() // releases the command that waits for the first round; may be called again

	total       Result
	server      endpoint
	asked       map[string]bool // names given to Resolve, each once in a run
	started     bool            // since the lock was taken: no back-off was in the way, and Resolve knows what is held
	staysUntil  time.Time       // the end of the back-off that it sits out next; zero: of none
	satOut      bool            // it has waited for a back-off to end
	timedOut    bool            // a request was not answered in time: the batch size does not grow
	lingerUntil time.Time
	steadySince time.Time // the clock, see housekeep
}

// newDelivery returns a run that is neither patient nor waited for.
func (o *Outbox) newDelivery() *delivery {
	return &delivery{
		Outbox: o, lockWait: lockPatience, asked: map[string]bool{}, progress: func(Result) {}, unblock: func() {},
	}
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

// send makes one request of the first messages. The reply is empty when they are no longer wanted. A
// message that no server could take is refused without a request.
func (d *delivery) send(ctx context.Context, batch []Message) (reply, error) {
	sink := d.cfg.Sink
	given := slices.Clone(batch) // whatever the sink does to it
	body, n, err := sink.Encode(given)
	bad, unsendable := errors.AsType[*Unsendable](err)
	switch {
	case unsendable && bad.Index >= 0 && bad.Index < len(batch) && isReason(bad.Reason):
		refused := Verdict{Outcome: Refused, Code: CodeRefused, Reason: bad.Reason}
		return reply{sent: batch[bad.Index : bad.Index+1], answer: Answer{Verdict: refused}}, nil
	case err != nil: // which one it is shows by smaller requests
		return d.sinkFault(batch, Fewer, "cannot encode a message and does not say which one and why"), nil
	case n < 1 || n > len(batch):
		return d.sinkFault(batch, Later, fmt.Sprintf("has encoded %d of %d messages", n, len(batch))), nil
	}
	if wanted, err := d.isWanted(ctx, batch[:n]); err != nil || !wanted {
		return reply{}, err
	}
	d.cfg.Point("before-request")
	requesting, cancel := ctx, func() {}
	if !d.manual {
		requesting, cancel = context.WithTimeout(ctx, requestTimeout)
	}
	defer cancel()
	began := d.cfg.Now()
	answer := sink.Send(requesting, Request{Body: body, Messages: given[:n], Memo: d.server.memo})
	took := d.cfg.Now().Sub(began)
	d.cfg.Point("after-request")
	if fault := faultOf(answer, n); fault != "" {
		return d.sinkFault(batch, Later, fault), nil
	}
	// A request that ended because the process has to end says nothing about the server.
	undecided := answer.Each == nil && (answer.Outcome == Later || answer.Outcome == Fewer)
	if undecided && ctx.Err() != nil && (errors.Is(ctx.Err(), context.Canceled) || took < fairTime) {
		return reply{}, timeUp(ctx)
	}
	return reply{sent: batch[:n], answer: answer, took: took, continues: hasTime(ctx) || d.manual && ctx.Err() != nil}, nil
}

// isWanted checks once more just before the request: since the messages were taken the user may have switched
// tracking off, or erased them. It takes no lock: from here on the request counts as under way, see AwaitFlusher.
func (d *delivery) isWanted(ctx context.Context, messages []Message) (wanted bool, err error) {
	err = d.View(ctx, func(tx *Tx) error {
		if !tx.mayAdd {
			return ErrOff
		}
		return tx.QueryRowContext(ctx, `
			SELECT count(*) = ? FROM messages WHERE seq IN (SELECT value FROM json_each(?))`,
			len(messages), numbers(messages)).Scan(&wanted)
	})
	return wanted, err
}

// sinkFault is the reply when the sink breaks the rules of Sink: nothing counts as delivered.
func (d *delivery) sinkFault(batch []Message, outcome Outcome, fault string) reply {
	reason := fmt.Sprintf("the sink %T %s", d.cfg.Sink, fault)
	return reply{sent: batch, answer: Answer{Verdict: Verdict{Outcome: outcome, Code: CodeSink, Reason: reason}}}
}

// faultOf returns the rule of Sink that an answer to a request of n messages breaks, or "".
func faultOf(a Answer, n int) string {
	verdicts, allowed := []Verdict{a.Verdict}, []Outcome{Accepted, Fewer, NotAllowed, Later}
	if a.Each != nil {
		verdicts, allowed = a.Each, []Outcome{Accepted, Refused, Later}
		if len(verdicts) != n {
			return fmt.Sprintf("has answered with %d verdicts for %d messages", len(verdicts), n)
		}
	}
	for _, v := range verdicts {
		switch {
		case !slices.Contains(allowed, v.Outcome):
			return fmt.Sprintf("has answered with the outcome %d", v.Outcome)
		case v.Outcome != Accepted && (v.Code == "" || !isReason(v.Reason)):
			return "has given no reason, or a long one"
		}
	}
	return ""
}

func isReason(reason string) bool { return reason != "" && len(reason) <= maxReason }

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
