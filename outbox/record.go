package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/detach"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Recorded is what Record did beside committing.
type Recorded struct {
	// First means that nothing was recorded here before: tell the user what is.
	First bool
	// Started means that a flusher was started.
	Started bool
	// Trouble is what failed after the commit. Nothing is lost: the next command does it again. It
	// may join several errors.
	Trouble error
}

// Record runs change in one transaction, in which it adds messages and changes tables of the
// caller's. What was committed is durable when Record returns, and a flusher is on its way if
// one is due. It returns ErrOff, and does not run change, when tracking is off.
//
// An error of change undoes everything and is returned as it is. Change is run up to three times, when
// the file has an error that passes or is repaired, so it must not keep what an earlier run of it
// produced.
//
// GivenUp counts what failed, but for errors of change and a cancelled ctx.
func (o *Outbox) Record(ctx context.Context, change func(tx *Tx) error) (r Recorded, err error) {
	if change == nil {
		return r, errNothing
	}
	if o.isOff() {
		return r, ErrOff
	}
	var due bool
	var changed error
	tx := &Tx{}
	err = o.checkRoom(ctx)
	if err == nil {
		tx, r.Trouble, err = o.write(ctx, o.store.Write, func(tx *Tx) error {
			if !tx.mayAdd {
				return ErrOff
			}
			if err := tx.noteFirst(ctx); err != nil {
				return err
			}
			if changed = change(tx); changed != nil {
				return changed
			}
			due = tx.added > 0 && o.isDue(tx)
			if !due || !tx.addedHeld {
				return nil
			}
			// A flusher that waits for the one at work is noted, so that a crowd of commands does not start a
			// crowd of flushers.
			return tx.setWaiting(ctx, tx.now.Add(lockPatience))
		})
	}
	if err != nil {
		if (changed == nil || store.Cause(err) != nil) && !errors.Is(ctx.Err(), context.Canceled) {
			o.note(notRecorded, err)
		}
		return Recorded{}, err
	}
	r.First = tx.consent.Since.IsZero()
	o.finish(ctx, tx, due, &r)
	return r, nil
}

// checkRoom returns why nothing more can be recorded. Where the disk has no room, delivering makes some: a flusher is started.
func (o *Outbox) checkRoom(ctx context.Context) error {
	if err := CheckDescriptors(); err != nil {
		return err
	}
	full := o.store.EnsureRoom(ctx)
	if full == nil || o.Flushing() {
		return full
	}
	var due, held bool
	err := o.View(ctx, func(tx *Tx) (err error) {
		due, held, err = tx.sendable(ctx)
		due = due && o.isDue(tx)
		return err
	})
	if err == nil && due {
		_, err = o.startFlusher(held)
	}
	return errors.Join(full, err)
}

// finish syncs what was committed, without the lock, so that other commands do not wait for the disk, and
// starts a flusher meanwhile: an event that is sent before it is durable has happened all the same. For a
// held message one is started even beside the one at work, because only it has the message's secrets.
func (o *Outbox) finish(ctx context.Context, tx *Tx, due bool, r *Recorded) {
	if !due || !tx.addedHeld && !detach.TakesAlong() && o.Flushing() {
		r.Trouble = errors.Join(r.Trouble, o.store.Sync())
		return
	}
	o.cfg.Point("before-spawn")
	synced := make(chan error, 1)
	go func() { synced <- o.store.Sync() }()
	wait, err := o.startFlusher(tx.addedHeld)
	r.Trouble = errors.Join(r.Trouble, <-synced, err)
	if r.Started = err == nil; r.Started {
		wait(ctx)
	}
	o.note(notStarted, err)
}

// write runs change in a transaction of the queue; in is Write or Erase of the store. trouble is what AfterCommit's functions returned.
func (o *Outbox) write(
	ctx context.Context, in func(context.Context, func(*sql.Tx) error, func()) error, change func(tx *Tx) error,
) (tx *Tx, trouble, err error) {
	err = in(ctx, func(sqlTx *sql.Tx) (err error) {
		if tx, err = o.begin(ctx, sqlTx); err != nil {
			return err
		}
		if err := o.arrive(ctx, tx); err != nil {
			return err
		}
		return change(tx)
	}, func() { trouble = tx.committed() })
	return tx, trouble, err
}

// begin makes a transaction of the queue. It reads the switch inside: under the write lock, so that an event which is recorded
// beside Disable is not delivered after Enable.
func (o *Outbox) begin(ctx context.Context, sqlTx *sql.Tx) (*Tx, error) {
	consent := o.ConsentBeside()
	tx := &Tx{Tx: sqlTx, now: o.cfg.Now(), newUUID: o.cfg.NewUUID, sink: o.cfg.Sink, mayAdd: o.isOn(consent), consent: consent}
	return tx, tx.read(ctx)
}

// arrive notes the machine. If the home was copied from another one, what is held is that machine's to
// decide: here held aliases are deleted, and held events go out as their anon id.
func (o *Outbox) arrive(ctx context.Context, tx *Tx) error {
	moved, err := tx.noteMachine(ctx)
	if err != nil || !moved {
		return err
	}
	if err := tx.Withdraw(ctx, Held{Kind: Alias}); err != nil {
		return err
	}
	if err := tx.Decide(ctx, Held{Kind: Capture}, ""); err != nil {
		return err
	}
	if o.cfg.Moved == nil {
		return nil
	}
	return o.cfg.Moved(ctx, tx)
}

// noteFirst stores the time of the first message.
func (tx *Tx) noteFirst(ctx context.Context) error {
	if !tx.consent.Since.IsZero() {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO consent (id, tracking, since) VALUES (1, TRUE, ?)`, tx.now.UnixMilli())
	if err != nil {
		return fmt.Errorf("note the first message: %w", err)
	}
	return nil
}

// Update runs change in one transaction, and neither syncs it nor starts a flusher. It works with tracking
// off, when Add returns ErrOff. Change may be run up to three times, as by Record.
func (o *Outbox) Update(ctx context.Context, change func(tx *Tx) error) error {
	if change == nil {
		return errNothing
	}
	_, trouble, err := o.write(ctx, o.store.Write, change)
	return errors.Join(err, trouble)
}

// Copies returns the paths of the damaged databases that were set aside, oldest first. They stay until
// Clear, Disable or Forget erases them.
func (o *Outbox) Copies() ([]string, error) { return o.store.Copies() }

// View runs look in a transaction that cannot write, without the lock: it changes nothing and does not
// wait. It returns ErrNone when there is no database, and ErrOlder, an ErrNone too, when there is one that
// Record or Update has to migrate first.
func (o *Outbox) View(ctx context.Context, look func(tx *Tx) error) error {
	if look == nil {
		return errNothing
	}
	return o.store.View(ctx, func(sqlTx *sql.Tx) error {
		tx, err := o.begin(ctx, sqlTx)
		if err != nil {
			return err
		}
		return look(tx)
	})
}

// sendable reports whether anything could be sent now, and whether some of it is held.
func (tx *Tx) sendable(ctx context.Context) (some, held bool, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM messages WHERE state = 'pending' AND (distinct_id IS NOT NULL OR kind = 'capture')),
		       EXISTS (SELECT 1 FROM messages WHERE distinct_id IS NULL AND kind = 'capture')`).Scan(&some, &held)
	if err != nil {
		return false, false, fmt.Errorf("look for messages: %w", err)
	}
	return some, held, nil
}

// sendable is Tx.sendable, without the lock.
func (o *Outbox) sendable(ctx context.Context) (some, held bool, err error) {
	err = o.View(ctx, func(tx *Tx) (err error) {
		some, held, err = tx.sendable(ctx)
		return err
	})
	return some, held, err
}

// Check tries what Record needs, and undoes it: the directory, the write lock, the database, room on the
// disk, the flusher's lock, the file of this program. Its error says what is missing; it can be any of this
// package but ErrNone, ErrOff and ErrBusy. It creates no database.
func (o *Outbox) Check(ctx context.Context) error {
	if err := CheckDescriptors(); err != nil {
		return err
	}
	if err := o.store.CheckWrite(ctx); err != nil {
		return err
	}
	lock, err := os.OpenFile(o.flusherLock(), os.O_RDWR, 0)
	if err == nil {
		lock.Close()
	} else if !errors.Is(err, os.ErrNotExist) {
		return o.flusherLockError(err)
	}
	if err := detach.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoProcess, err)
	}
	return nil
}

// CheckDescriptors returns ErrDescriptors where Record would. A program asks before it uses a timer of its own for Record's sake:
// where no descriptors are left for a process's first timer, Go ends the process.
func CheckDescriptors() error { return store.CheckDescriptors() }

// FileTrouble returns why a file of the embedder's, beside the database, cannot be used, given the system's
// error: ErrFull, ErrReadOnly, ErrNotDirectory, ErrNotFile, a *PermissionError, or nil when it is none of these.
func FileTrouble(path string, err error) error { return store.FileTrouble(path, err) }

// Given counts the commands whose messages were not recorded, and those for which no flusher could be
// started or a started one failed before it could deliver.
type Given struct {
	Up          int // both; 1 where the disk had no room for more than an empty file
	NotStarted  int // of these, those that were recorded
	Since, Last time.Time
	// Reason is that of the last one in fixed words, or "" when it is not known.
	Reason string
}

// GivenUp returns what was given up within the last week. Clear, Disable and Forget erase it.
func (o *Outbox) GivenUp() (g Given) {
	info, err := os.Lstat(o.notePath())
	if err != nil || o.cfg.Now().Sub(info.ModTime()) > noteAge {
		return g
	}
	g = Given{Up: 1, Since: info.ModTime().UTC(), Last: info.ModTime().UTC()}
	content, err := os.ReadFile(o.notePath())
	if err != nil || len(content) == 0 {
		return g
	}
	g.Up = 0
	for line := range strings.Lines(string(content)) {
		var at int64
		var kind string
		if _, err := fmt.Sscan(line, &at, &kind); err != nil { // cut off by a full disk
			continue
		}
		if g.Last = time.UnixMilli(at).UTC(); g.Up == 0 {
			g.Since = g.Last
		}
		g.Up++
		if kind == notStarted {
			g.NotStarted++
		}
		_, g.Reason, _ = strings.Cut(strings.TrimSpace(line), kind+" ")
	}
	return g
}

const (
	noteAge     = 7 * 24 * time.Hour
	notRecorded = "not-recorded"
	notStarted  = "not-started"
)

// note adds a line to the notes of what was given up. It is best effort: the cause may prevent that, too.
func (o *Outbox) note(kind string, err error) {
	if err == nil || errors.Is(err, ErrOff) || errors.Is(err, ErrNoMain) {
		return
	}
	line := fmt.Sprintf("%d %s ", o.cfg.Now().UnixMilli(), kind)
	cause := store.Cause(err)
	for _, flushers := range []error{errConfig, ErrNone} { // that only a flusher meets
		if cause == nil && errors.Is(err, flushers) {
			cause = flushers
		}
	}
	if cause != nil {
		line += cause.Error()
	}
	store.AddNote(o.notePath(), line)
}

func (o *Outbox) notePath() string { return o.cfg.Path + ".notes" }

// forgetNotes deletes the notes, and the two files in which earlier versions kept them.
func (o *Outbox) forgetNotes() {
	for _, suffix := range []string{".notes", ".not-recorded", ".not-started"} {
		os.Remove(o.cfg.Path + suffix)
	}
}
