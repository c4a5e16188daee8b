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
	// process and not one each.
	lingerTime  = 400 * time.Millisecond // since the last delivery
	lingerMost  = 2 * time.Second        // in all
	lingerPause = 200 * time.Millisecond // between two looks at the database
)

// Main has to be called first in main. In a flusher's process it delivers and ends the process;
// in every other it returns at once. config makes the same configuration as for New, from the
// environment that the flusher has been given; an error means that nothing is delivered, and GivenUp counts it.
func Main(config func() (Config, error)) {
	child, err := detach.Child(marker)
	if !child {
		hasMain.Store(true)
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

// deliverDetached is the life of a flusher. Its output goes nowhere; that its stdout is closed tells the
// command that waits for the first round, see detach.StartHeard.
func deliverDetached(config func() (Config, error)) error {
	cfg, err := config()
	path := cmp.Or(os.Getenv(pathVariable), cfg.Path)
	if err != nil {
		(&Outbox{cfg: Config{Path: path, Now: time.Now}}).note(notStarted, fmt.Errorf("%w: %w", errConfig, err))
		return err
	}
	cfg.existing, cfg.Path = true, path
	o, err := New(cfg)
	if err != nil || o.cfg.Consent == ForceOff {
		return err
	}
	// A machine that shuts down sends SIGTERM first: an answer that has come is still stored.
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(told, flusherWork)
	defer cancel()
	defer o.store.Sync() // a last close would delete the WAL, and the next command pay for a new one
	d := &delivery{
		outbox: o, lockWait: lockPatience, patience: flusherPatience,
		lingers: os.Getenv(aloneVariable) == "", unblock: func() { os.Stdout.Close() },
	}
	err = o.log(d.run(ctx))
	if errors.Is(err, ErrNone) {
		o.note(notStarted, err)
	}
	return err
}

// runPause is how often Run looks for messages.
const runPause = time.Second

// Run delivers until ctx ends, for a program that runs for long. Meanwhile Record on this Outbox starts no flusher. Run opens
// the database for itself, so that recording does not wait for it. It returns ctx's error, or one of New.
func (o *Outbox) Run(ctx context.Context) error {
	own, err := New(o.cfg)
	if err != nil {
		return err
	}
	defer own.Close()
	o.running.Add(1)
	defer o.running.Add(-1)
	var told string // so that an error that stays is logged once
	pause := time.NewTicker(runPause)
	defer pause.Stop()
	for {
		if !own.isOff() {
			done, err := own.deliverOnce(ctx)
			if err == nil || err.Error() != told {
				_ = own.log(done, err)
			}
			told = fmt.Sprint(err)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// deliverOnce delivers what waits, and does nothing where there is nothing.
func (o *Outbox) deliverOnce(ctx context.Context) (Result, error) {
	some, _, err := o.sendable(ctx)
	if errors.Is(err, ErrNone) || err == nil && !some {
		return Result{}, nil
	}
	if err != nil {
		return Result{}, err
	}
	d := &delivery{outbox: o, lockWait: lockPatience, unblock: func() {}}
	return d.run(ctx)
}

// log writes to Config.Log how a delivery has ended, and returns its error. A back-off is told when it begins.
func (o *Outbox) log(done Result, err error) error {
	early, _ := errors.AsType[*Delay](err)
	switch {
	case o.cfg.Log == nil || early != nil && !early.Until.IsZero():
	case err != nil:
		o.cfg.Log.Warn("delivery ended early", "delivered", done.Delivered, "dead", done.Dead, "error", err)
	case done != Result{}:
		o.cfg.Log.Info("delivered", "delivered", done.Delivered, "dead", done.Dead)
	}
	return err
}

// FlushOptions are the options of Flush.
type FlushOptions struct {
	// Wait is how long to wait for another flusher to finish. Zero means ten seconds, a flusher's life.
	Wait time.Duration
	// Progress, when not nil, is called after each request with what was settled so far.
	Progress func(Result)
}

// Flush delivers what is pending now, in order, without regard to our own back-off; a Retry-After
// is respected. It returns when nothing is left, when the server did not accept a message or the time is up
// (a *Delay), when another flusher is at work (ErrBusy), when tracking is off (ErrOff) or when ctx ends.
// With nothing pending it does not wait for a flusher at work.
func (o *Outbox) Flush(ctx context.Context, options FlushOptions) (Result, error) {
	if o.isOff() {
		return Result{}, ErrOff
	}
	var c Counts // an alias without its distinct id counts: Resolve is asked about it
	err := o.View(ctx, func(tx *Tx) (err error) { c, err = tx.Counts(ctx); return err })
	if err == nil && c.Pending == 0 {
		return Result{}, nil
	}
	d := &delivery{
		outbox: o, manual: true, lockWait: cmp.Or(options.Wait, flusherLife), progress: options.Progress, unblock: func() {},
	}
	return d.run(ctx)
}

// run delivers, and looks once more after it has released the lock: a message that was committed by a
// command which saw the lock held, and so started no flusher, would otherwise wait for the next command.
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
		some, held, err := d.outbox.sendable(ctx)
		if err != nil || !some || held && !d.manual { // the command of a held message has started a flusher with its secrets
			return d.total, err
		}
	}
}

// runLocked delivers and lingers with the flusher's lock held.
func (d *delivery) runLocked(ctx context.Context) error {
	lock, err := d.lock(ctx)
	if errors.Is(err, store.ErrLocked) || errors.Is(err, context.DeadlineExceeded) {
		return ErrBusy
	}
	if err != nil {
		return d.outbox.flusherLockError(err)
	}
	defer lock.Release()
	d.outbox.cfg.Point("flushing")
	defer d.outbox.cfg.Point("flushed")
	if err := d.outbox.checkSink(); err != nil {
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

// lock takes the flusher's lock. A detached flusher never creates its file, which its command has made: that
// would bring back a home that was removed meanwhile, or break its removal.
func (d *delivery) lock(ctx context.Context) (*store.FileLock, error) {
	path := d.outbox.flusherLock()
	if !d.outbox.cfg.existing {
		if err := store.CreateFile(path); err != nil {
			return nil, err
		}
	}
	return store.Lock(ctx, path, d.lockWait)
}

// sitOut waits for the back-off to end, without the lock, so that Flush can go ahead. It returns false when
// patience does not allow it.
func (d *delivery) sitOut(ctx context.Context, early *Delay) bool {
	wait := early.Until.Sub(d.outbox.cfg.Now())
	if early.Until.IsZero() || d.patience <= 0 || wait > d.patience {
		return false
	}
	d.patience -= max(wait, 0)
	d.satOut = true
	d.unblock()
	d.outbox.cfg.Point("waiting")
	timer := time.NewTimer(early.Until.Sub(d.outbox.cfg.Now()))
	defer timer.Stop()
	select {
	case <-timer.C:
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
	d.outbox.cfg.Point("lingering")
	now := time.Now()
	if d.lingerUntil.IsZero() {
		d.lingerUntil = now.Add(lingerMost)
	}
	until := now.Add(lingerTime)
	if until.After(d.lingerUntil) {
		until = d.lingerUntil
	}
	pause := time.NewTicker(lingerPause)
	defer pause.Stop()
	for time.Now().Before(until) && hasTime(ctx) {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return false
		}
		if d.outbox.isOff() {
			return false
		}
		if some, held, err := d.outbox.sendable(ctx); some || err != nil {
			return err == nil && !held
		}
	}
	return false
}
