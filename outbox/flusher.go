package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/detach"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

const (
	// marker is the variable that tells a process that it is a flusher. A subcommand would be
	// the embedder's to keep apart from flags and aliases.
	marker = "OUTBOX_FLUSHER"
	// flusherLife bounds a detached flusher: a watchdog ends the process.
	flusherLife = 10 * time.Second
	// flusherWork is when it stops by itself, so that it can still settle what it knows.
	flusherWork = 9 * time.Second
	// flusherPatience is how much of its life a flusher may spend waiting for a back-off to
	// end, so that the last command of an outage is delivered without another one.
	flusherPatience = 8 * time.Second
)

// Main has to be called first in main. In a flusher's process it delivers and ends the process;
// in every other it returns at once. config makes the same configuration as for New, from the
// environment that the flusher has been given; an error means that there is nothing to do.
func Main(config func() (Config, error)) {
	child, err := detach.Child(marker)
	if !child {
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

// deliverDetached is the life of a flusher. Nobody reads what it has to say.
func deliverDetached(config func() (Config, error)) error {
	cfg, err := config()
	if err != nil {
		return err
	}
	cfg.existing = true
	o, err := New(cfg)
	if err != nil || o.cfg.Consent == Withdrawn {
		return err
	}
	// A machine that shuts down says so first: what is known is settled before the end.
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(told, flusherWork)
	defer cancel()
	defer o.store.Leave() // a last close would delete the WAL, and the next command pay for a new one
	_, err = (&delivery{outbox: o, patience: flusherPatience, lingers: true}).run(ctx)
	return err
}

// environmentOfAll are the variables that every flusher needs: where the home is, and how to get
// to the server.
var environmentOfAll = [...]string{
	"HOME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "DO_NOT_TRACK",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
}

// isDue tells whether a flusher should be started for what tx has added. It may be too early by
// up to a flusher's patience: then it waits, unless another one does.
func (o *Outbox) isDue(tx *Tx) bool {
	now := o.cfg.Now()
	wait := tx.schedule.Next(now).Sub(now)
	early := wait > 0
	if o.cfg.Sink == nil || o.cfg.Sink.Check() != nil || wait > flusherPatience ||
		early && tx.schedule.Waiting(now) || o.Flushing() {
		return false
	}
	return early || tx.heldOne || !o.isLingering()
}

// relieve starts a flusher, if one is due, where there is no room for another message: it makes some.
func (o *Outbox) relieve(ctx context.Context) error {
	var due, held bool
	err := o.View(ctx, func(tx *Tx) (err error) {
		var some bool
		some, held, err = tx.sendable(ctx)
		due = some && tx.mayRecord() && o.isDue(tx)
		return err
	})
	if err != nil || !due {
		return err
	}
	return o.startFlusher(held)
}

// Flushing reports whether a flusher is at work now.
func (o *Outbox) Flushing() bool { return store.IsLocked(o.flusherLock()) }

func (o *Outbox) flusherLock() string { return o.cfg.Path + ".flusher.lock" }

// lockFlusher makes the lock's file only for a person: a detached flusher, whose command has made it,
// would bring back a home that was removed meanwhile, or fail whoever removes it.
func (o *Outbox) lockFlusher(ctx context.Context, wait time.Duration) (*store.FileLock, error) {
	if o.cfg.existing {
		return store.LockExisting(ctx, o.flusherLock(), wait)
	}
	return store.Lock(ctx, o.flusherLock(), wait)
}

func (o *Outbox) noFlusherLock(err error) error {
	return fmt.Errorf("lock flusher: %w", errors.Join(store.FileTrouble(o.flusherLock(), err), err))
}

// startFlusher hands over the environment, with the secrets only when something needs them.
func (o *Outbox) startFlusher(secrets bool) error {
	for _, path := range []string{o.flusherLock(), o.lingerLock()} {
		if err := store.CreateFile(path); err != nil {
			return err
		}
	}
	environment, err := o.environment(secrets)
	if err != nil {
		return err
	}
	return o.cfg.Start(marker, environment)
}

// environment returns what has a value of that which a flusher needs.
func (o *Outbox) environment(secrets bool) ([]string, error) {
	names := slices.Concat(environmentOfAll[:], o.cfg.Environment, o.cfg.Paths)
	if secrets {
		names = append(names, o.cfg.Secrets...)
	}
	var environment []string
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	return detach.Resolve(environment, o.cfg.Paths...)
}

// A flusher that has delivered everything lingers for a moment, so that the commands of a script
// need one process and not one each. It does not hold the flusher's lock meanwhile, and nobody waits
// for it, but a lock of its own, on a file that says in which environment it works: a command that is
// run in another one, or whose message is held and may need secrets, starts a flusher all the same.
const (
	lingerTime  = 400 * time.Millisecond // since the last delivery
	lingerPause = 200 * time.Millisecond // between two looks at the files: each costs 0.3 ms of CPU
)

// linger waits for more messages and tells whether there are some to be delivered.
func (d *delivery) linger(ctx context.Context) (more bool, err error) {
	o := d.outbox
	mark, err := o.environmentMark()
	if err != nil {
		return false, err
	}
	lock, err := store.LockExisting(ctx, o.lingerLock(), 0)
	if err != nil { // another one lingers, or the home is gone
		return false, nil
	}
	if writeOver(o.lingerLock(), mark) == nil {
		d.watch(ctx)
	}
	lock.Release()
	// Now, because a command that has just seen the lock has started no flusher.
	more, held, err := d.sendable(ctx)
	return more && !held, err // the command of a held one has started a flusher that may know more
}

// writeOver is os.WriteFile for a file that is there.
func writeOver(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// watch returns when a message has come, when none has for a while, or when the rest of the
// process's life is too short for another request.
func (d *delivery) watch(ctx context.Context) {
	d.outbox.cfg.Point("lingering")
	deadline, bounded := ctx.Deadline()
	pause := time.NewTicker(lingerPause)
	defer pause.Stop()
	seen := d.outbox.store.Stamp()
	for until := time.Now().Add(lingerTime); time.Now().Before(until); {
		if bounded && time.Until(deadline) < requestTimeout+lingerPause {
			return
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		now := d.outbox.store.Stamp()
		if now == seen {
			continue
		}
		seen = now
		if some, _, err := d.outbox.sendable(ctx); some || err != nil {
			return
		}
	}
}

// isLingering tells whether a flusher lingers that would do as well as one that is started here.
func (o *Outbox) isLingering() bool {
	if !store.IsLocked(o.lingerLock()) { // as mostly: nothing is read then
		return false
	}
	found, err := os.ReadFile(o.lingerLock())
	if err != nil {
		return false
	}
	mark, err := o.environmentMark()
	return err == nil && string(found) == mark
}

func (o *Outbox) lingerLock() string { return o.cfg.Path + ".linger.lock" }

// environmentMark is a digest, because proxies have passwords.
func (o *Outbox) environmentMark() (string, error) {
	environment, err := o.environment(false)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join(environment, "\x00")))
	return hex.EncodeToString(sum[:16]), nil
}
