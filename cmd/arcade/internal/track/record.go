package track

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
	"time"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// RecordLimit bounds what recording may cost a command when the disk hangs. It is longer than
// the waits for the two locks together, see outbox.Config.
const RecordLimit = 12 * time.Second

// Record records the command and starts a flusher if one is due. First is true when nothing was
// ever recorded here: the user has to be told. Whatever fails costs the event and nothing else,
// so there is no error; Debug gets the cause. Once ctx has ended, recording hardly waits for another process that
// holds the database: the user wants the command to end.
func (t *Tracker) Record(ctx context.Context, c Command) (first bool) {
	if s := t.Switches(); !s.On {
		t.debug("not recorded: tracking is off (%s)", s.By)
		return false
	}
	// A write to a closed stderr would end the process, with an exit code that is not the command's.
	signal.Ignore(syscall.SIGPIPE)
	type outcome struct {
		outbox.Recorded
		event outbox.Message
		err   error
	}
	done := make(chan outcome, 2)
	if outbox.CheckDescriptors() == nil { // else nothing is opened, and Go has none left for a timer
		time.AfterFunc(RecordLimit, func() { done <- outcome{err: errors.New("the disk does not answer")} })
	}
	go func() {
		o := outcome{err: errors.New("recording ran into a bug")}
		defer func() {
			recover()
			done <- o
		}()
		o.Recorded, o.event, o.err = t.record(ctx, c, 0)
		if ctx.Err() != nil && o.err != nil {
			o.Recorded, o.event, o.err = t.record(context.WithoutCancel(ctx), c, hurriedWait)
		}
	}()
	o := <-done
	switch {
	case errors.Is(o.err, outbox.ErrOff):
		t.debug("not recorded: tracking is off (arcade usage disable)")
	case o.err != nil:
		t.debug("not recorded: %v", o.err)
	case o.Trouble != nil:
		t.debug("recorded %s %s %s, but: %v", o.event.UUID, o.event.Event, o.event.Properties, o.Trouble)
	default:
		t.debug("recorded %s %s %s", o.event.UUID, o.event.Event, o.event.Properties)
	}
	return o.First
}

// hurriedWait is how long each lock is waited for by a command that was told to end. After the first one's,
// SQLite's own locking decides.
const hurriedWait = 250 * time.Millisecond

// record is an event's way: read who this home is and what the command could have known, decide
// whose the event is, add it, export usage.json. The outbox commits, leaves, and starts a flusher.
func (t *Tracker) record(ctx context.Context, c Command, wait time.Duration) (done outbox.Recorded, event outbox.Message, err error) {
	home, box, err := t.open(wait)
	if err != nil {
		return done, event, err
	}
	done, err = box.Record(ctx, func(tx *outbox.Tx) error { // with tracking off nothing is read, either
		used := t.uses(home, c.UsesLogin)
		event = t.event(c, used)
		now, err := readIdentity(ctx, tx.Tx, home)
		if err != nil {
			return err
		}
		input, err := t.input(ctx, tx, c.Change, used)
		if err != nil {
			return err
		}
		next, steps := decide(now, input, t.NewAnon)
		if err := t.add(ctx, tx, steps, event); err != nil {
			return err
		}
		t.Point("inserted")
		if err := save(ctx, tx, now, next); err != nil {
			return err
		}
		tx.AfterCommit(func() error { return t.export(ctx, box, home, now.mirror, next[len(next)-1]) })
		return nil
	})
	return done, event, err
}

// input turns what the command did, and the credentials it could have used, into the state
// machine's terms.
func (t *Tracker) input(ctx context.Context, tx *outbox.Tx, change identity.Input, u used) (identity.Input, error) {
	if _, isLogout := change.(identity.Logout); u.apart && !isLogout {
		return identity.Apart{}, nil
	}
	switch change := change.(type) {
	case identity.Login:
		if change.Principal != "" {
			return change, identity.Remember(ctx, tx.Tx, change.Credential, change.Principal, tx.Now())
		}
		return change, nil
	case nil:
		keyPrincipal, err := identity.Principal(ctx, tx.Tx, u.key)
		if err != nil {
			return nil, err
		}
		principal, err := identity.Principal(ctx, tx.Tx, u.file.fingerprint)
		return identity.Command{
			Credential: u.file.fingerprint, Principal: principal, Unreadable: u.file.unreadable,
			Key: u.key, KeyPrincipal: keyPrincipal,
		}, err
	default:
		return change, nil
	}
}
