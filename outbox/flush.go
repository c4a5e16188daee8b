package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// ErrBusy means that another flusher is at work.
var ErrBusy = errors.New("another flusher is at work")

// ErrOff means that tracking was switched off with Disable: nothing is recorded or sent.
var ErrOff = errors.New("tracking is off")

// Delay is the error of a run that ended with messages left over, because it was too early to
// ask or because nobody, or somebody else, answered.
type Delay struct {
	Reason string    // fixed words
	Until  time.Time // when the next run may begin; zero when a person may try at once
}

func (d *Delay) Error() string { return d.Reason }

// Flusher drains an outbox to PostHog.
type Flusher struct {
	Outbox *Outbox
	// Endpoint and Key are PostHog's address and the project's key.
	Endpoint, Key string
	// Transport carries the requests. It must not follow redirects (none of net/http's does).
	Transport http.RoundTripper
	// Jitter returns a random number in [0, 1).
	Jitter func() float64
	// Resolve is asked to decide undecided messages with DecideTx before any of them is sent.
	// Those it leaves undecided go out anonymously.
	Resolve func(ctx context.Context) error
	// Anonymous is told, in the deciding transaction, the anon id that messages go out as.
	Anonymous func(ctx context.Context, tx *sql.Tx, anonID string) error
	// Forced delivers although consent was withdrawn with Disable: the user's environment has
	// the last word.
	Forced bool
	// Wait is how long to wait for another flusher to finish. Zero: not at all, see lookTime.
	Wait time.Duration
	// Patience is how long to wait for a back-off or a Retry-After to be over. One process waits
	// at a time, and without the flusher's lock: somebody who cannot wait goes ahead. Zero: not
	// at all.
	Patience time.Duration
	// Now delivers without regard to our own back-off. A Retry-After holds all the same.
	Now bool
	// Progress is called after each request with the messages settled so far. Nil is allowed.
	Progress func(Result)
}

// Result counts what a run settled.
type Result struct {
	Delivered int
	Dead      int
}

// Run delivers what is pending, in order, and returns when nothing is left, when the server
// cannot be had (a *Delay), when another flusher is at work (ErrBusy), when tracking is off
// (ErrOff) or when ctx ends. Housekeeping follows every delivery.
func (f *Flusher) Run(ctx context.Context) (Result, error) {
	var total Result
	patience := f.Patience
	for {
		err := f.runLocked(ctx, &total)
		if early := (*Delay)(nil); errors.As(err, &early) && f.sitOut(ctx, early, patience) {
			patience = 0
			continue
		}
		if err != nil {
			return total, err
		}
		// What was committed after the last look, by a command that saw the lock taken and so
		// started no flusher, would otherwise wait for the next command.
		left, err := f.Outbox.sendable(ctx)
		if err != nil || !left {
			return total, err
		}
	}
}

// lookTime is how long a flusher waits for its lock in any case: FlusherRunning, in every
// command and in whoever watches, holds it for microseconds, on a busy machine for longer, and
// must not turn a flusher away.
const lookTime = time.Second

func (f *Flusher) runLocked(ctx context.Context, total *Result) error {
	lock, err := acquire(f.Outbox.flushLockPath(), patience{idle: max(f.Wait, lookTime)})
	if errors.Is(err, errLocked) {
		return ErrBusy
	}
	if err != nil {
		return fmt.Errorf("lock flusher: %w", err)
	}
	defer lock.release()
	f.Outbox.cfg.Point("flushing")
	defer f.Outbox.cfg.Point("flushed")
	if err := f.mayStart(ctx); err != nil {
		return err
	}
	// An index that is damaged can hide an alias, which has to be sent before its principal's
	// events. In a long queue looking for that takes long; there it is done in the end.
	small := f.Outbox.isSmall()
	if small {
		if err := f.Outbox.Mend(ctx); err != nil {
			return err
		}
	}
	err = f.drain(ctx, total)
	if errors.Is(err, ErrOff) {
		return err
	}
	// Housekeeping is local and bounded; it is due also when the network is gone.
	err = errors.Join(err, f.Outbox.housekeep(context.WithoutCancel(ctx)))
	if err != nil || small {
		return err
	}
	return f.Outbox.Mend(ctx)
}

// mayStart returns a *Delay when it is too early.
func (f *Flusher) mayStart(ctx context.Context) error {
	now := f.Outbox.cfg.Now()
	return f.Outbox.InTx(ctx, func(tx *sql.Tx) error {
		schedule, err := ScheduleTx(ctx, tx)
		next := schedule.Next(now)
		if f.Now {
			next = schedule.ServerHold(now)
		}
		if err == nil && !next.IsZero() {
			return &Delay{Reason: schedule.LastError, Until: next}
		}
		return err
	})
}

// sitOut waits until it is no longer too early. It returns false when that takes longer than
// the patience, when another process waits already, or when ctx ends first.
func (f *Flusher) sitOut(ctx context.Context, early *Delay, patient time.Duration) bool {
	wait := early.Until.Sub(f.Outbox.cfg.Now())
	if early.Until.IsZero() || wait > patient {
		return false
	}
	lock, err := acquire(f.Outbox.waitLockPath(), patience{idle: lookTime})
	if err != nil {
		return false
	}
	defer lock.release()
	f.Outbox.cfg.Point("waiting")
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// drain is the delivery loop: take, send, settle.
func (f *Flusher) drain(ctx context.Context, total *Result) error {
	p := newPair(f.Endpoint, f.Key, &line{next: f.Transport, now: f.Outbox.cfg.Now, point: f.Outbox.cfg.Point})
	defer p.close()
	var q queue
	for ctx.Err() == nil {
		batch, err := f.next(ctx, &q, p)
		if err != nil && ctx.Err() != nil {
			break // its time is up, in the middle of a look at the queue
		}
		if err != nil || len(batch) == 0 {
			return err
		}
		f.Outbox.cfg.Point("claimed")
		began := time.Now()
		v := f.send(ctx, &q, p, batch, total.Delivered > 0)
		f.Outbox.cfg.Point("answered")
		if v.outcome == withdrawn {
			if err := f.findOut(ctx, batch, v); err != nil {
				return err
			}
			continue // there may be others, or take says why not
		}
		if v.outcome == later && cutShort(ctx, time.Since(began)) {
			break
		}
		if err := f.settle(ctx, &q, batch, v, total); err != nil {
			return err
		}
		if f.Progress != nil {
			f.Progress(*total)
		}
	}
	return &Delay{Reason: describe(ctx.Err())}
}

// next returns the batch that was made ready, or loads the head of the queue.
func (f *Flusher) next(ctx context.Context, q *queue, p *pair) ([]Message, error) {
	if batch := p.turn(); len(batch) > 0 {
		return batch, nil
	}
	batch, err := f.take(ctx, q)
	if err == nil && len(batch) > 0 {
		p.sending.load(batch)
	}
	return batch, err
}

// send sends the batch that is loaded. If the server is known to answer, the next one is made ready
// meanwhile; it leaves only after this one was accepted and settled.
func (f *Flusher) send(ctx context.Context, q *queue, p *pair, batch []Message, answers bool) verdict {
	answer := make(chan verdict, 1)
	go func() {
		answer <- p.sending.send(ctx, func(ctx context.Context) error { return f.wanted(ctx, batch) })
	}()
	if answers {
		p.loadAhead(f.takeAhead(ctx, q, batch))
	}
	v := <-answer
	if v.outcome != accepted {
		p.dropAhead()
	}
	return v
}

// fairChance is how long a server must have had to answer before its silence means something.
const fairChance = 500 * time.Millisecond

// cutShort tells whether a request ended because the process has to leave, which says nothing
// about the server. When it is only the time that is up and there was a fair chance, the silence
// counts: a flusher that has sat out a back-off for most of its life has little time left, and
// if it left no new back-off behind, the next one would ask again at once.
func cutShort(ctx context.Context, lasted time.Duration) bool {
	return errors.Is(ctx.Err(), context.Canceled) || (ctx.Err() != nil && lasted < fairChance)
}

// wanted looks once more, when the request is about to leave: since the batch was taken the user
// may have switched tracking off or erased it, and may even have switched tracking on again. It
// returns nil when all is as it was, else a verdict. It is called in another goroutine than the
// Outbox belongs to, and so opens a view of its own.
func (f *Flusher) wanted(ctx context.Context, batch []Message) error {
	err := f.Outbox.View(ctx, func(tx *sql.Tx) error {
		consent, err := f.Outbox.ConsentTx(ctx, tx)
		if err != nil {
			return err
		}
		pending, err := pendingTx(ctx, tx, batch)
		if err == nil && (pending < len(batch) || !consent.On && !f.Forced) {
			err = ErrOff
		}
		return err
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrOff), errors.Is(err, ErrNone):
		return verdict{outcome: withdrawn, reason: "taken back"}
	default:
		return verdict{outcome: withdrawn, reason: unreadable}
	}
}

// unreadable is why nothing is sent when nobody can look whether it is still wanted.
const unreadable = "the outbox cannot be read"

// findOut mends what kept a batch from being sent, if it was damage and not the user: an index may
// know of messages that cannot be found. It returns an error when nothing more can be done now.
func (f *Flusher) findOut(ctx context.Context, batch []Message, v verdict) error {
	if err := f.Outbox.Mend(ctx); err != nil {
		return err
	}
	if v.reason != unreadable || ctx.Err() != nil {
		return nil
	}
	if errors.As(f.wanted(ctx, batch), &v) && v.reason == unreadable {
		return &Delay{Reason: v.reason}
	}
	return nil
}

// settle writes down what became of a batch, in one transaction. It does so even when ctx has
// just ended: what is known must not be forgotten.
func (f *Flusher) settle(ctx context.Context, q *queue, batch []Message, v verdict, total *Result) error {
	ctx = context.WithoutCancel(ctx)
	now := f.Outbox.cfg.Now()
	q.answered(len(batch), v.outcome)
	settled := int64(len(batch))
	err := f.Outbox.InTx(ctx, func(tx *sql.Tx) (err error) {
		switch {
		case v.outcome == accepted:
			settled, err = deliveredTx(ctx, tx, batch, now)
		case v.outcome == refused && len(batch) == 1:
			settled, err = deadTx(ctx, tx, batch[0], v.reason, now)
		case v.outcome == refused:
			settled, err = refusedTx(ctx, tx, batch, v.reason)
		default:
			err = postponedTx(ctx, tx, v, now, f.Jitter())
		}
		return err
	})
	if err == nil && settled < int64(len(batch)) { // taken back meanwhile, or it will come again for ever
		err = f.Outbox.Mend(ctx)
	}
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	f.Outbox.cfg.Point("settled")
	switch {
	case v.outcome == accepted:
		total.Delivered += len(batch)
	case v.outcome == refused && len(batch) == 1:
		total.Dead++
	case v.outcome == later:
		return &Delay{Reason: v.reason}
	}
	return nil
}
