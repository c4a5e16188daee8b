package track

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
	"time"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/migrations"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

const (
	// recordLimit bounds what recording costs a command when the disk hangs. It is longer than the waits for both
	// locks, see outbox.Config. All other waits end a second earlier, with a note of the lost event.
	recordLimit = 12 * time.Second
	// hurriedWait bounds the wait for each lock after an interrupt. Without the write lock, SQLite's own locking
	// decides.
	hurriedWait = 250 * time.Millisecond
)

// Record records the command and starts a flusher if one is due. First is true for the first event of this home: then
// the notice is due. A failure costs the event and nothing else, so there is no error; Debug gets the cause. Once ctx
// has ended, recording hardly waits for a process that holds the database: the user wants the command to end.
func (t *Tracker) Record(ctx context.Context, c Command) (first bool) {
	if s := t.Switches(); s.Override == outbox.ForceOff {
		t.debug("not recorded: tracking is off (%s)", s.By)
		return false
	}
	// A write to a closed stderr would end the process with another exit code than the command's.
	signal.Ignore(syscall.SIGPIPE)
	done := make(chan recorded, 2)
	limited := ctx
	if outbox.CheckDescriptors() == nil { // else nothing is opened, and Go has no descriptor left for a timer
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, recordLimit-time.Second)
		defer cancel()
		time.AfterFunc(recordLimit, func() { done <- recorded{err: errors.New("the disk does not answer")} })
	}
	go func() {
		r := recorded{err: errors.New("recording ran into a bug")}
		defer func() {
			recover()
			done <- r
		}()
		r = t.record(limited, c, 0)
		if ctx.Err() != nil && r.err != nil {
			r = t.record(context.WithoutCancel(ctx), c, hurriedWait)
		}
	}()
	r := <-done
	switch {
	case errors.Is(r.err, outbox.ErrOff):
		t.debug("not recorded: tracking is off (arcade usage disable)")
	case r.err != nil:
		t.debug("not recorded: %v", r.err)
	case r.Trouble != nil:
		t.debug("recorded %s %s %s, but: %v", r.event.UUID, r.event.Event, r.event.Properties, r.Trouble)
	default:
		t.debug("recorded %s %s %s", r.event.UUID, r.event.Event, r.event.Properties)
	}
	return r.First
}

// recorded is an event and the outcome of recording it.
type recorded struct {
	outbox.Recorded
	event outbox.Message
	err   error
}

// record reads the credentials that the command could have used, lets the state machine decide whose the event is,
// adds the event and exports usage.json. The outbox commits and starts a flusher.
func (t *Tracker) record(ctx context.Context, c Command, wait time.Duration) (r recorded) {
	home, box, err := t.open(wait)
	if err != nil {
		return recorded{err: err}
	}
	r.Recorded, r.err = box.Record(ctx, func(tx *outbox.Tx) error { // with tracking off nothing is read, either
		used := t.uses(home, c.UsesLogin)
		r.event = t.event(c, used)
		input, err := used.input(ctx, tx, c.Change)
		if err != nil {
			return err
		}
		return t.change(ctx, tx, box, home, input, r.event)
	})
	return r
}

// input is what the command did to the identity, as an input of the state machine.
func (u used) input(ctx context.Context, tx *outbox.Tx, change identity.Input) (identity.Input, error) {
	_, isLogout := change.(identity.Logout)
	login, _ := change.(identity.Login)
	switch {
	case u.apart && !isLogout:
		return identity.Apart{}, nil
	case login.Principal != "":
		return login, identity.Remember(ctx, tx.Tx, login.Credential, login.Principal, tx.Now())
	case change != nil:
		return change, nil
	}
	in := identity.Command{Credential: u.file.Fingerprint(), Key: u.key}
	var err error
	if in.KeyPrincipal, err = identity.Principal(ctx, tx.Tx, in.Key); err == nil {
		in.Principal, err = identity.Principal(ctx, tx.Tx, in.Credential)
	}
	return in, err
}

// Config is the configuration of a flusher in the background. The error can be ErrNoHome.
func (t *Tracker) Config() (outbox.Config, error) {
	home, err := t.Home()
	return t.config(home), err
}

func (t *Tracker) config(home Home) outbox.Config {
	return outbox.Config{
		Path:   home.database(),
		Sink:   t.sink(),
		Tables: migrations.Identity(),

		Environment: []string{"ARCADE_USAGE_HOST", "ARCADE_USAGE_KEY", "ARCADE_USAGE_TRACKING", "ARCADE_CONTEXT"},
		Paths:       []string{"ARCADE_WORK_DIR"},
		Secrets:     []string{"ARCADE_API_KEY", "ARCADE_URL"}, // an address may hold a password
		Consent:     t.Switches().Override,

		Resolve: func(ctx context.Context, box *outbox.Outbox, names []string) error {
			return t.resolve(ctx, box, home, names)
		},
		Released: func(ctx context.Context, tx *outbox.Tx, anonID string) error {
			return t.stepIfKnown(ctx, tx, identity.Released{AnonID: anonID}) // it may have to be stitched to an account later
		},
		Moved: func(ctx context.Context, tx *outbox.Tx) error {
			return t.stepIfKnown(ctx, tx, identity.Moved{}) // the anon id belongs to the machine that this home was copied from
		},

		Now: t.Now, Start: t.Start, Point: t.Point,
	}
}

// open returns this home's outbox. Wait bounds its wait for each lock; 0 means the outbox's default. It touches
// nothing.
func (t *Tracker) open(wait time.Duration) (Home, *outbox.Outbox, error) {
	home, err := t.Home()
	if err != nil {
		return home, nil, err
	}
	config := t.config(home)
	config.LockWait = wait
	box, err := outbox.New(config)
	return home, box, err
}
