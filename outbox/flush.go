package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Delay is the error of a run that ended with messages left over, because it was too early to
// ask or because nobody, or somebody else, answered.
type Delay struct {
	Reason string    // fixed words
	Code   string    // the same as an identifier, see Verdict
	Until  time.Time // when the next run may begin; zero when a person may try at once
}

func (d *Delay) Error() string { return d.Reason }

// Result counts what a run settled.
type Result struct {
	Delivered int
	Dead      int
}

// FlushOptions are a person's wishes.
type FlushOptions struct {
	// Wait is how long to wait for another flusher to finish. Zero means a flusher's life.
	Wait time.Duration
	// Progress, when not nil, is called after each request with what was settled so far.
	Progress func(Result)
}

// Flush delivers what is pending now, in order, without regard to our own back-off; a Retry-After
// holds all the same. It returns when nothing is left, when the server cannot be had (a *Delay),
// when another flusher is at work (ErrBusy), when tracking is off (ErrOff) or when ctx ends.
func (o *Outbox) Flush(ctx context.Context, options FlushOptions) (Result, error) {
	d := &delivery{outbox: o, byHand: true, wait: cmp.Or(options.Wait, flusherLife), progress: options.Progress}
	return d.run(ctx)
}

// delivery is one run of a flusher.
type delivery struct {
	outbox   *Outbox
	byHand   bool // a person waits for it
	lingers  bool // for more to come
	wait     time.Duration
	patience time.Duration // for a back-off to be over
	progress func(Result)

	total     Result
	started   bool          // it was not too early
	seen      store.Version // of the queue when messages were last looked for
	search    search
	asked     map[string]bool // names: each is asked about once
	newest    int64           // the newest held message when names were looked for
	withdrawn int             // batches in a row
	housekept sql.NullInt64   // see dropOld
}

// sendable is Outbox.sendable, without a look at the queue when it is as this run has last seen it.
func (d *delivery) sendable(ctx context.Context) (some, held bool, err error) {
	if version, err := d.outbox.store.Version(ctx); err == nil && version == d.seen {
		return false, false, nil
	}
	return d.outbox.sendable(ctx)
}

// run delivers, does the housekeeping, and looks once more when it has let the lock go: what was
// committed meanwhile, by a command that saw the lock taken and so started no flusher, would
// otherwise wait for the next command.
func (d *delivery) run(ctx context.Context) (Result, error) {
	d.asked = map[string]bool{}
	for {
		err := d.runLocked(ctx)
		if early, ok := errors.AsType[*Delay](err); ok && d.sitOut(ctx, early) {
			continue
		}
		if err != nil {
			return d.total, err
		}
		more, _, err := d.sendable(ctx)
		if err == nil && !more && d.lingers {
			more, err = d.linger(ctx)
		}
		if err != nil || !more {
			return d.total, err
		}
	}
}

// lookTime is how long a flusher waits for its lock in any case: whoever asks whether one is at
// work holds it for microseconds, on a busy machine for longer, and must not turn it away.
const lookTime = time.Second

func (d *delivery) runLocked(ctx context.Context) error {
	o := d.outbox
	lock, err := o.lockFlusher(ctx, max(d.wait, lookTime))
	if errors.Is(err, store.ErrLocked) || errors.Is(err, context.DeadlineExceeded) {
		return ErrBusy
	}
	if err != nil {
		return o.noFlusherLock(err)
	}
	defer lock.Release()
	o.cfg.Point("flushing")
	defer o.cfg.Point("flushed")
	if err := d.outbox.checkSink(); err != nil {
		return err
	}
	d.started = false
	err = d.drain(ctx)
	if !d.started || errors.Is(err, ErrOff) {
		return err
	}
	if d.total.Delivered > 0 {
		o.forgetNotes()
	}
	// Housekeeping is local and bounded; it is due also when the network is gone.
	return errors.Join(err, o.housekeep(context.WithoutCancel(ctx), d.housekept))
}

// checkSink returns a *Delay when nothing can be sent whatever the queue holds.
func (o *Outbox) checkSink() error {
	if o.cfg.Sink == nil {
		return &Delay{Reason: "nothing takes the messages", Code: CodeNoKey}
	}
	err := o.cfg.Sink.Check()
	if err == nil {
		return nil
	}
	delay := &Delay{Reason: err.Error(), Code: CodeAddress}
	if unusable, ok := errors.AsType[*Unusable](err); ok {
		delay.Code = unusable.Code
	}
	return delay
}

// tooEarly returns the *Delay of a run that may not begin yet, and notes for how long a patient
// flusher sits that out.
func (d *delivery) tooEarly(ctx context.Context, tx *Tx) (*Delay, error) {
	next := tx.schedule.Next(tx.now)
	if d.byHand {
		next = tx.schedule.ServerHold(tx.now)
	}
	if next.IsZero() {
		return nil, nil
	}
	delay := &Delay{Reason: tx.schedule.LastError, Code: tx.schedule.LastCode, Until: next}
	if next.Sub(tx.now) > d.patience || tx.schedule.Waiting(tx.now) {
		d.patience = 0 // too long, or somebody waits already
		return delay, nil
	}
	return delay, tx.setWaiting(ctx, next)
}

// sitOut waits until it is no longer too early, without the lock: somebody who cannot wait goes
// ahead. It happens once in a run, and returns false when there is no patience for it.
func (d *delivery) sitOut(ctx context.Context, early *Delay) bool {
	wait := early.Until.Sub(d.outbox.cfg.Now())
	if early.Until.IsZero() || d.patience == 0 {
		return false
	}
	d.patience = 0
	d.outbox.cfg.Point("waiting")
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// drain is the delivery loop: take, send, settle. What settles a batch takes the next one.
func (d *delivery) drain(ctx context.Context) error {
	batch, err := d.take(ctx)
	for err == nil && len(batch) > 0 && ctx.Err() == nil {
		d.outbox.cfg.Point("claimed")
		began := time.Now()
		sent, verdict, failed := d.send(ctx, batch)
		d.outbox.cfg.Point("answered")
		switch {
		case errors.Is(failed, errWithdrawn) && d.withdrawn == 0:
			d.withdrawn++
			batch, err = d.take(ctx) // there may be others, or take says why not
			continue
		case errors.Is(failed, errWithdrawn): // an index may know of messages that cannot be found
			return errors.Join(&Delay{Reason: "the queue is damaged", Code: CodeDamaged}, d.outbox.store.Mend(ctx))
		case failed != nil && ctx.Err() != nil && !errors.Is(failed, ErrOff):
			return timeUp(ctx)
		case failed != nil:
			return failed
		case verdict.Outcome == Later && cutShort(ctx, time.Since(began)):
			return &Delay{Reason: verdict.Reason, Code: verdict.Code}
		}
		d.withdrawn = 0
		batch, err = d.settle(ctx, sent, verdict)
		if d.progress != nil {
			d.progress(d.total)
		}
	}
	if err != nil || len(batch) == 0 {
		return err
	}
	return timeUp(ctx)
}

// timeUp says why a run ended with messages left.
func timeUp(ctx context.Context) *Delay {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &Delay{Reason: "interrupted", Code: CodeInterrupted}
	}
	return &Delay{Reason: "no answer in time", Code: CodeTimeout}
}

// errWithdrawn means that the user has taken a batch back before it was sent.
var errWithdrawn = errors.New("taken back")

// send encodes as much of the batch as one request may carry, and sends it. A message that no
// server could take is judged here, alone.
func (d *delivery) send(ctx context.Context, batch []Message) (sent []Message, a Answer, err error) {
	body, n, err := d.outbox.cfg.Sink.Encode(batch)
	if bad, ok := errors.AsType[*Unsendable](err); ok {
		refused := Verdict{Outcome: Refused, Reason: bad.Reason, Code: unsendable}
		return batch[bad.Index : bad.Index+1], Answer{Verdict: refused}, nil
	}
	if err != nil {
		return nil, a, fmt.Errorf("encode: %w", err)
	}
	batch = batch[:n]
	err = d.reserve(ctx, batch)
	if errors.Is(err, ErrFull) && n > 1 { // there may be room to settle fewer
		return d.send(ctx, batch[:n/2])
	}
	if err != nil {
		return nil, a, err
	}
	d.outbox.cfg.Point("before-request")
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	a = d.outbox.cfg.Sink.Send(ctx, Request{Body: body, Messages: batch})
	d.outbox.cfg.Point("after-request")
	return batch, whole(a), nil
}

// whole makes one verdict of those for each message.
func whole(a Answer) Answer {
	for _, v := range a.Each {
		if a.Outcome == 0 || v.Outcome > a.Outcome { // accepted, then refused, then later
			a.Verdict = v
		}
	}
	switch {
	case a.Outcome == Fewer && a.Code == CodeTimeout:
		a.Outcome = Later
	case a.Outcome == Fewer:
		a.Outcome = Refused
	}
	return a
}

const (
	// requestTimeout bounds one request from the first byte to the last of the answer.
	requestTimeout = 5 * time.Second
	// fairChance is how long a server must have had to answer before its silence means something.
	fairChance = 500 * time.Millisecond
)

// cutShort tells whether a request ended because the process has to leave, which says nothing
// about the server. When it is only the time that is up and there was a fair chance, the silence
// counts: a flusher that has sat out a back-off for most of its life has little time left, and
// if it left no new back-off behind, the next one would ask again at once.
func cutShort(ctx context.Context, lasted time.Duration) bool {
	return errors.Is(ctx.Err(), context.Canceled) || (ctx.Err() != nil && lasted < fairChance)
}
