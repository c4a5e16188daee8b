package outbox

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/detach"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

const (
	// flusherPatience is how much of its life a flusher may spend waiting for a back-off to end: the
	// last command of an outage is then delivered without another command.
	flusherPatience = 8 * time.Second
	// lockPatience is how long a flusher waits for the one at work, which may lack the secrets of a held
	// message. A command that asks whether one is at work holds the lock for a moment, too.
	lockPatience = 2 * time.Second
	// firstRound is how long a process whose end kills its flusher waits for the first round.
	firstRound = time.Second
)

// hasMain reports whether Main was called: only then does a copy of this program deliver. It belongs to
// the process, as main does.
var hasMain atomic.Bool

// runsTests reports whether this process is running Go's tests. A test binary that stands in for a program has
// their flags, too, but has not parsed them.
func runsTests() bool { return flag.Lookup("test.v") != nil && flag.Parsed() }

const (
	// pathVariable holds the path of the database: with it a flusher does not work it out again.
	pathVariable = marker + "_DATABASE"
	// aloneVariable tells a flusher that it ends with the process that waits for it: it does not linger,
	// because the next command starts its own.
	aloneVariable = marker + "_ALONE"
)

// networkVariables are what every flusher needs beside the ordinary variables: how to reach the server.
var networkVariables = [...]string{
	"DO_NOT_TRACK", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
}

// checkSink returns an *Unusable when nothing can be sent, whatever the queue holds.
func (o *Outbox) checkSink() error {
	if o.cfg.Sink == nil {
		return &Unusable{Code: CodeNoKey, Reason: "no sink takes the messages"}
	}
	return o.cfg.Sink.Check()
}

// isDue reports whether a flusher that is started now would find something to do soon. Beside Run it would not.
func (o *Outbox) isDue(tx *Tx) bool {
	return o.running.Load() == 0 && o.checkSink() == nil &&
		!tx.schedule.Waiting(tx.now) && tx.schedule.Next(tx.now).Sub(tx.now) <= flusherPatience
}

// Flushing reports whether a flusher is at work now.
func (o *Outbox) Flushing() bool { return store.IsLocked(o.flusherLock()) }

func (o *Outbox) flusherLock() string { return o.cfg.Path + ".flusher.lock" }

// AwaitFlusher waits until no flusher is at work, for as long as most, and reports whether there is none.
// After Disable or Clear this means that no request is under way any more.
func (o *Outbox) AwaitFlusher(ctx context.Context, most time.Duration) bool {
	if !o.Flushing() {
		return true
	}
	lock, err := store.Lock(ctx, o.flusherLock(), most)
	if err != nil {
		return false
	}
	lock.Close()
	return true
}

// flusherLockError adds why the flusher's lock cannot be used.
func (o *Outbox) flusherLockError(err error) error {
	return fmt.Errorf("lock flusher: %w", errors.Join(store.FileTrouble(o.flusherLock(), err), err))
}

// startFlusher starts a flusher with the environment that it needs; the secrets are only for a held message.
// Where this process's end would kill it, heard is closed when its first round is settled; elsewhere it is nil.
func (o *Outbox) startFlusher(secrets bool) (heard <-chan struct{}, err error) {
	if err := store.CreateFile(o.flusherLock()); err != nil {
		return nil, err
	}
	names := slices.Concat(networkVariables[:], o.cfg.Environment, o.cfg.Paths)
	if secrets {
		names = append(names, o.cfg.Secrets...)
	}
	environment := detach.Ordinary()
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	environment, err = detach.Resolve(environment, o.cfg.Paths...)
	if err != nil {
		return nil, err
	}
	environment = append(environment, pathVariable+"="+o.cfg.Path)
	switch {
	case os.Getenv(marker) != "": // a user or a test that sets it wants no flusher
		return nil, ErrNoMain
	case o.cfg.Start != nil:
		return nil, o.cfg.Start(marker, environment)
	case !hasMain.Load():
		return nil, ErrNoMain
	case detach.TakesAlong():
		return detach.StartHeard(marker, append(environment, aloneVariable+"=1"))
	default:
		return nil, detach.Start(marker, environment)
	}
}
