package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/detach"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

const (
	// flusherPatience is how much of its life a flusher may spend waiting for a back-off to
	// end, so that the last command of an outage is delivered without another one.
	flusherPatience = 8 * time.Second
	// lockPatience is how long a flusher waits for the one at work, which may lack what a held message
	// needs. A command that asks whether one is at work holds the lock for a moment, too.
	lockPatience = 2 * time.Second
	// firstRound is how long a process that takes its flusher along waits for it.
	firstRound = time.Second
)

// hasMain tells whether Main was called: only then does a copy of this program deliver. It is the
// process's, as main is.
var hasMain atomic.Bool

// pathVariable hands over the database's path, so that a flusher need not work it out again.
const pathVariable = marker + "_DATABASE"

// environmentOfAll are the variables that every flusher needs beside the ordinary ones: how to get to
// the server.
var environmentOfAll = [...]string{
	"DO_NOT_TRACK", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
}

// due tells whether a flusher is to be started for what tx has added, if none is at work. For a held
// message one is started all the same and waits for the one at work, because only it has the secrets
// that decide the message; that one was started is noted, so that a crowd does not start a crowd.
func (o *Outbox) due(ctx context.Context, tx *Tx) (bool, error) {
	if tx.added == 0 || o.cfg.Sink == nil || o.cfg.Sink.Check() != nil ||
		tx.schedule.Waiting(tx.now) || tx.schedule.Next(tx.now).Sub(tx.now) > flusherPatience {
		return false, nil
	}
	if !tx.heldOne {
		return true, nil
	}
	return true, tx.setWaiting(ctx, tx.now.Add(lockPatience))
}

// setWaiting notes until when a flusher that was started has gone to work.
func (tx *Tx) setWaiting(ctx context.Context, until time.Time) error {
	if _, err := tx.ExecContext(ctx, `UPDATE delivery SET waiting_until = ?`, millis(until)); err != nil {
		return fmt.Errorf("note the flusher: %w", err)
	}
	return nil
}

// Flushing reports whether a flusher is at work now.
func (o *Outbox) Flushing() bool { return store.IsLocked(o.flusherLock()) }

func (o *Outbox) flusherLock() string { return o.cfg.Path + ".flusher.lock" }

// AwaitFlusher waits until no flusher is at work, but not for longer than most, and tells whether
// that came true. After Disable or Clear it is the end of a request that was under way.
func (o *Outbox) AwaitFlusher(ctx context.Context, most time.Duration) bool {
	if !o.Flushing() {
		return true
	}
	lock, err := store.Lock(ctx, o.flusherLock(), most)
	if err != nil {
		return false
	}
	lock.Release()
	return true
}

// noFlusherLock says why the flusher's lock cannot be used.
func (o *Outbox) noFlusherLock(err error) error {
	return fmt.Errorf("lock flusher: %w", errors.Join(store.FileTrouble(o.flusherLock(), err), err))
}

// startFlusher starts a flusher with the environment that it needs, the secrets only for a held
// message. The wait that it returns ends with the flusher's first round.
func (o *Outbox) startFlusher(secrets bool) (wait func(context.Context), err error) {
	if err := store.CreateFile(o.flusherLock()); err != nil {
		return nil, err
	}
	environment, err := o.environment(secrets)
	if err != nil {
		return nil, err
	}
	switch {
	case os.Getenv(marker) != "": // whoever sets it wants none, as a test does
		return nil, ErrNoMain
	case o.cfg.Start != nil:
		return func(context.Context) {}, o.cfg.Start(marker, environment)
	case !hasMain.Load():
		return nil, ErrNoMain
	case detach.TakesAlong():
		done, err := detach.StartHeard(marker, append(environment, aloneVariable+"=1"))
		return func(ctx context.Context) { awaitFirst(ctx, done) }, err
	default:
		return func(context.Context) {}, detach.Start(marker, environment)
	}
}

// aloneVariable tells a flusher that it ends with the process that waits for it: it does not linger,
// because the next command starts its own.
const aloneVariable = marker + "_ALONE"

func awaitFirst(ctx context.Context, done <-chan struct{}) {
	timer := time.NewTimer(firstRound)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// environment returns what has a value of that which a flusher needs.
func (o *Outbox) environment(secrets bool) ([]string, error) {
	names := slices.Concat(environmentOfAll[:], o.cfg.Environment, o.cfg.Paths)
	if secrets {
		names = append(names, o.cfg.Secrets...)
	}
	environment := detach.Ordinary()
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	environment, err := detach.Resolve(environment, o.cfg.Paths...)
	return append(environment, pathVariable+"="+o.cfg.Path), err
}
