package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
// os.Exit may follow. A command that a signal ends has recorded nothing, unless the program handles that signal.
//
// An error of change undoes everything and is returned as it is. Change is run again when the
// file has an error that passes or is repaired, so it must not keep what an earlier run of it
// produced.
//
// GivenUp counts failures, except errors of change and a cancelled ctx.
func (o *Outbox) Record(ctx context.Context, change func(tx *Tx) error) (r Recorded, err error) {
	switch {
	case change == nil:
		return r, errNothing
	case o.isOff():
		return r, ErrOff
	}
	var tx *Tx
	var due bool
	var changed error
	if err = CheckDescriptors(); err == nil {
		if err = o.store.EnsureRoom(ctx); errors.Is(err, ErrFull) {
			err = errors.Join(err, o.makeRoom(ctx))
		}
	}
	if err == nil {
		tx, r.Trouble, err = o.transact(ctx, o.store.Write, func(tx *Tx) error {
			if !tx.mayAdd {
				return ErrOff
			}
			if changed = change(tx); changed != nil {
				return changed
			}
			if due = tx.added > 0 && o.isDue(tx); due && tx.addedHeld { // it may wait for the one at work: a crowd starts one
				return tx.setWaiting(ctx, tx.now.Add(lockPatience))
			}
			return nil
		})
	}
	if err != nil {
		isOver := errors.Is(ctx.Err(), context.DeadlineExceeded)
		if isOver || (changed == nil || store.Cause(err) != nil) && ctx.Err() == nil {
			o.note(notRecorded, err, store.Cause(err))
		}
		return Recorded{}, err
	}
	r.First = tx.isFirst
	// For a held message a flusher is started even beside the one at work: only it has the message's secrets.
	if !due || !tx.addedHeld && !detach.TakesAlong() && o.Flushing() {
		r.Trouble = errors.Join(r.Trouble, o.store.Sync())
		return r, nil
	}
	o.finish(ctx, tx.addedHeld, &r)
	return r, nil
}

// makeRoom starts a flusher, if one is due: only delivering makes room on a disk that this queue has filled.
func (o *Outbox) makeRoom(ctx context.Context) error {
	var due, held bool
	err := o.View(ctx, func(tx *Tx) (err error) {
		due, held, err = tx.sendable(ctx)
		due = due && o.isDue(tx)
		return err
	})
	if err != nil || !due || o.Flushing() {
		return nil
	}
	_, err = o.startFlusher(held)
	return err
}

// finish starts a flusher and meanwhile syncs what was committed, without the lock, so that other commands do not
// wait for the disk: an event that is sent before it is durable has happened all the same. Where the end of this
// process would kill the flusher, it waits for the first round.
func (o *Outbox) finish(ctx context.Context, secrets bool, r *Recorded) {
	o.cfg.Point("before-spawn")
	synced := make(chan error, 1)
	go func() { synced <- o.store.Sync() }()
	heard, err := o.startFlusher(secrets)
	r.Started, r.Trouble = err == nil, errors.Join(r.Trouble, <-synced, err)
	if err != nil {
		o.note(notStarted, err, store.Cause(err))
	}
	if heard == nil {
		return
	}
	select {
	case <-heard:
	case <-time.After(firstRound):
	case <-ctx.Done():
	}
}

// Update runs change in one transaction, and neither syncs it nor starts a flusher. It works with tracking
// off, when Add returns ErrOff. Change may be run several times, as by Record.
func (o *Outbox) Update(ctx context.Context, change func(tx *Tx) error) error {
	if change == nil {
		return errNothing
	}
	_, trouble, err := o.transact(ctx, o.store.Write, change)
	return errors.Join(err, trouble)
}

// transact runs change in a transaction of the queue; in is Write or Erase of the store. trouble is what AfterCommit's
// functions returned.
func (o *Outbox) transact(
	ctx context.Context, in func(context.Context, func(*sql.Tx) error, func()) error, change func(tx *Tx) error,
) (tx *Tx, trouble, err error) {
	err = in(ctx, func(sqlTx *sql.Tx) (err error) {
		if tx, err = o.begin(ctx, sqlTx); err != nil {
			return err
		}
		if err := tx.arrive(ctx, o.cfg.Moved); err != nil {
			return err
		}
		return change(tx)
	}, func() { trouble = tx.committed() })
	return tx, trouble, err
}

// begin makes a transaction of the queue. It reads the switch inside: under the write lock, so that an event which is recorded
// beside Disable is not delivered after Enable.
func (o *Outbox) begin(ctx context.Context, sqlTx *sql.Tx) (*Tx, error) {
	tx := &Tx{Tx: sqlTx, now: o.cfg.Now(), sink: o.cfg.Sink, mayAdd: !o.isOff()}
	return tx, tx.read(ctx)
}

// Enable switches tracking on.
func (o *Outbox) Enable(ctx context.Context) error {
	return o.store.Locked(ctx, func() error { return store.Remove(o.offPath(), "") })
}

// Disable switches tracking off and erases every message, so that pending ones are never delivered, not
// even after Enable. It returns how many were pending. After an error, tracking is off if the switch's file
// could be made: that needs no database.
func (o *Outbox) Disable(ctx context.Context) (erased int, err error) {
	err = o.store.Locked(ctx, func() error {
		if err := o.markOff(); err != nil {
			return err
		}
		erased, err = o.Clear(ctx, nil)
		return err
	})
	return erased, err
}

// Clear erases every message and returns how many were pending. also, when not nil, changes tables of the
// caller's in the same transaction.
//
// It overwrites what it deletes with zeros (secure_delete), returns all free pages and truncates the WAL, so
// that the messages are gone from the disk as far as SQLite can ensure. Damaged databases that were set
// aside are deleted, too.
func (o *Outbox) Clear(ctx context.Context, also func(tx *Tx) error) (erased int, err error) {
	return o.erase(ctx, also, false)
}

// Forget is Clear, and InstallID makes a new id afterwards.
func (o *Outbox) Forget(ctx context.Context, also func(tx *Tx) error) (erased int, err error) {
	return o.erase(ctx, also, true)
}

func (o *Outbox) erase(ctx context.Context, also func(tx *Tx) error, installID bool) (erased int, err error) {
	_, trouble, err := o.transact(ctx, o.store.Erase, func(tx *Tx) (err error) {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		erased, err = tx.eraseAll(ctx, installID)
		return err
	})
	if err == nil {
		o.forgetNotes()
	}
	return erased, errors.Join(err, trouble)
}

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
		if err = look(tx); store.IsOnlyForReading(err) {
			return errLooks
		}
		return err
	})
}

// sendable is Tx.sendable in a transaction of its own.
func (o *Outbox) sendable(ctx context.Context) (some, held bool, err error) {
	err = o.View(ctx, func(tx *Tx) (err error) {
		some, held, err = tx.sendable(ctx)
		return err
	})
	return some, held, err
}

// Copies returns the paths of the damaged databases that were set aside, oldest first. They stay until
// Clear, Disable or Forget erases them.
func (o *Outbox) Copies() ([]string, error) { return o.store.Copies() }

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
	} else if !errors.Is(err, fs.ErrNotExist) {
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
// error: ErrFull, ErrReadOnly, ErrUnreadable, ErrNotDirectory, ErrNotFile, a *PermissionError, or nil when it is none of these.
func FileTrouble(path string, err error) error { return store.FileTrouble(path, err) }
