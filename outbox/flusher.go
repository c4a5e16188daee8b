package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/detach"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

const (
	// flusherLife bounds a detached flusher: a watchdog ends the process.
	flusherLife = 10 * time.Second
	// flusherWork is when it stops by itself, so that it can still settle what it knows.
	flusherWork = 9 * time.Second
	// A flusher that has delivered everything lingers, so that the commands of a script need one
	// process and not one each: for so many looks at the database since the last delivery, 2 s in all.
	lingerLooks = 2
	lingerPause = 200 * time.Millisecond // before each
	lingerMost  = 2 * time.Second
	// runPause is how often Run looks for messages.
	runPause = time.Second
)

// Main has to be called first in main. In a flusher's process it delivers and ends the process;
// in every other it returns at once. config makes the same configuration as for New, from the
// environment that the flusher has been given; an error means that nothing is delivered, and GivenUp counts it.
func Main(config func() (Config, error)) {
	child, err := detach.Child(marker)
	if !child {
		hasMain.Store(!runsTests())
		return
	}
	detach.Watchdog(flusherLife)
	if err == nil {
		err = deliverDetached(config)
	}
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// deliverDetached is the life of a flusher. Its output goes nowhere; closing its stdout releases the command that
// waits for the first round, see detach.StartHeard.
func deliverDetached(config func() (Config, error)) (err error) {
	notes := &Outbox{cfg: Config{Path: os.Getenv(pathVariable), Now: time.Now}}
	defer func() {
		if recover() != nil {
			err = errPanicked
			notes.note(notStarted, err, err)
		}
	}()
	cfg, err := config()
	notes.cfg.Path = cmp.Or(notes.cfg.Path, cfg.Path)
	cfg.existing, cfg.Path = true, notes.cfg.Path
	var o *Outbox
	if err == nil {
		o, err = New(cfg)
	}
	if err != nil {
		notes.note(notStarted, err, errConfig)
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	if o.cfg.Consent == ForceOff {
		return nil
	}
	// A machine that shuts down sends SIGTERM first: an answer that has come is still stored.
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(told, flusherWork)
	defer cancel()
	defer o.store.Sync() // a last close would delete the WAL, and the next command pay for a new one
	d := o.newDelivery()
	d.patience = o.cfg.Now().Add(flusherPatience)
	d.lingers = os.Getenv(aloneVariable) == ""
	d.unblock = func() { os.Stdout.Close() }
	return o.log(d.run(ctx))
}

// Run delivers until ctx ends, for a program that runs for long, and returns ctx's error. Meanwhile Record starts no flusher.
func (o *Outbox) Run(ctx context.Context) error {
	o.running.Add(1)
	defer o.running.Add(-1)
	var told string // so that an error that stays is logged once
	pause := time.NewTicker(runPause)
	defer pause.Stop()
	for {
		done, err := o.deliverOnce(ctx)
		if err == nil || err.Error() != told {
			_ = o.log(done, err)
		}
		told = fmt.Sprint(err)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// deliverOnce delivers what waits, and does nothing where there is nothing.
func (o *Outbox) deliverOnce(ctx context.Context) (done Result, err error) {
	if o.isOff() {
		return done, nil
	}
	some, _, err := o.sendable(ctx)
	switch {
	case errors.Is(err, ErrNone):
		return done, nil
	case some:
		return o.newDelivery().run(ctx)
	}
	return done, err
}

// log writes to Config.Log how a delivery has ended, and returns its error. A back-off is logged when it begins.
func (o *Outbox) log(done Result, err error) error {
	early, _ := errors.AsType[*Delay](err)
	switch {
	case early != nil && !early.Until.IsZero():
	case err != nil:
		o.cfg.Log.Warn("delivery ended early", "delivered", done.Delivered, "dead", done.Dead, "error", err)
	case done != Result{}:
		o.cfg.Log.Info("delivered", "delivered", done.Delivered, "dead", done.Dead)
	}
	return err
}

// FlushOptions are the options of Flush.
type FlushOptions struct {
	// Progress, when not nil, is called after each request with what was settled so far.
	Progress func(Result)
}

// Flush delivers what is pending now, in order, without regard to our own back-off; a Retry-After
// is respected. It returns when nothing is left, when the server did not accept a message or the time is up
// (a *Delay), when the sink cannot send (an *Unusable), when another flusher is at work (ErrBusy) or when tracking is off
// (ErrOff).
// It waits for another one at work until ctx's deadline, without one for as long as a flusher lives, ten seconds; with nothing
// pending not at all.
func (o *Outbox) Flush(ctx context.Context, options FlushOptions) (Result, error) {
	if o.isOff() {
		return Result{}, ErrOff
	}
	var c Counts // an alias without its distinct id counts: Resolve is asked about it
	err := o.View(ctx, func(tx *Tx) (err error) { c, err = tx.Counts(ctx); return err })
	if err == nil && c.Pending == 0 {
		return Result{}, nil
	}
	d := o.newDelivery()
	d.manual, d.lockWait = true, flusherLife
	if end, ok := ctx.Deadline(); ok { // another Flush may take longer
		d.lockWait = time.Until(end)
	}
	if options.Progress != nil {
		d.progress = options.Progress
	}
	return d.run(ctx)
}

// run delivers, and looks once more after it has released the lock: a message that was committed by a
// command which saw the lock held, and so started no flusher, would otherwise wait for the next command.
func (d *delivery) run(ctx context.Context) (Result, error) {
	for {
		err := d.runLocked(ctx)
		if !d.staysUntil.IsZero() && d.sitOut(ctx) {
			continue
		}
		if err != nil {
			return d.total, err
		}
		some, held, err := d.sendable(ctx)
		if err != nil || !some || held && !d.manual { // the command of a held message has started a flusher with its secrets
			return d.total, err
		}
	}
}

// runLocked delivers and lingers with the flusher's lock held.
func (d *delivery) runLocked(ctx context.Context) error {
	if !d.cfg.existing { // a detached flusher would bring back a home that was removed meanwhile, or break its removal
		if err := store.CreateFile(d.flusherLock()); err != nil {
			return d.flusherLockError(err)
		}
	}
	lock, err := store.Lock(ctx, d.flusherLock(), d.lockWait)
	switch {
	case errors.Is(err, store.ErrLocked), errors.Is(err, context.DeadlineExceeded):
		return ErrBusy
	case err != nil:
		return d.flusherLockError(err)
	}
	defer lock.Close()
	d.cfg.Point("flushing")
	defer d.cfg.Point("flushed")
	if err := d.checkSink(); err != nil {
		return err
	}
	d.started = false
	for {
		err := d.drain(ctx)
		if d.started && !errors.Is(err, ErrOff) {
			err = errors.Join(err, d.housekeep(ctx)) // also without a network
		}
		if err != nil || !d.lingers || !d.linger(ctx) {
			return err
		}
	}
}

// sitOut waits for the back-off to end, without the lock, so that Flush can go ahead. It returns false when ctx
// ends before.
func (d *delivery) sitOut(ctx context.Context) bool {
	until := d.staysUntil
	d.staysUntil, d.satOut = time.Time{}, true
	d.unblock()
	d.cfg.Point("waiting")
	select {
	case <-time.After(until.Sub(d.cfg.Now())):
		return true
	case <-ctx.Done():
		return false
	}
}

// linger waits for what a script records next and reports whether there is something to send. It ends when
// nothing has come for a while, when tracking is switched off, when a message is held, and when what is
// left of the process's life is too short for another request.
func (d *delivery) linger(ctx context.Context) (more bool) {
	d.unblock()
	d.cfg.Point("lingering")
	if d.lingerUntil.IsZero() {
		d.lingerUntil = time.Now().Add(lingerMost)
	}
	for range lingerLooks {
		if !hasTime(ctx) || time.Now().After(d.lingerUntil) {
			return false
		}
		select {
		case <-time.After(lingerPause):
		case <-ctx.Done():
			return false
		}
		if d.isOff() {
			return false
		}
		if some, held, err := d.sendable(ctx); some || err != nil {
			return err == nil && !held
		}
	}
	return false
}
