package outbox

import (
	"context"
	"database/sql"
	"errors"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Errors of the queue. Those of a sink are in Delay. The causes of a database that cannot be used
// are told apart with errors.Is, and permission's owner and remedy with errors.As.
var (
	ErrOff  = errors.New("tracking is off") // nothing is recorded or sent
	ErrBusy = errors.New("another flusher is at work")
	ErrNone = store.ErrNone // there is no database yet

	// ErrNoProcess means that no flusher can be started: nothing is delivered but by Flush.
	ErrNoProcess = errors.New("no process can be started")

	ErrNewer        = store.ErrNewer        // a newer program has migrated the database
	ErrForeign      = store.ErrForeign      // the file is somebody else's database
	ErrDamaged      = store.ErrDamaged      // the next transaction sets it aside
	ErrFull         = store.ErrFull         // the disk
	ErrReadOnly     = store.ErrReadOnly     // the disk
	ErrPermission   = store.ErrPermission   // as *PermissionError
	ErrNotDirectory = store.ErrNotDirectory // what should hold the database
	ErrNotFile      = store.ErrNotFile      // what should be the database
	ErrUnreadable   = store.ErrUnreadable   // and the system does not say why
	ErrLocked       = store.ErrLocked       // by another process, for longer than anybody waits
)

// PermissionError says whose file is in the way, and which command mends it.
type PermissionError = store.PermissionError

// Recorded says what Record did beside committing.
type Recorded struct {
	// First means that nothing was ever recorded here: the user has to be told what is.
	First bool
	// Started means that a flusher was started.
	Started bool
	// Trouble is what failed after the commit. Nothing is lost by it: the next command makes up
	// for it. It may join several errors.
	Trouble error
}

// errNothing is for who gives no function: a panic in the middle of a transaction would say less.
var errNothing = errors.New("outbox: there is nothing to be done: give it a function")

// Record runs change in one transaction, in which it adds messages and changes tables of the
// caller's. What was committed is durable when Record returns, and a flusher is on its way if
// one is due. It returns ErrOff, and does not run change, when tracking is off.
//
// An error of change undoes everything and is returned as it is. A damaged database is
// replaced, and change is run again on its replacement.
//
// What went wrong is left for Note to find, but for an error of change and what a cancelled ctx has ended.
func (o *Outbox) Record(ctx context.Context, change func(tx *Tx) error) (r Recorded, err error) {
	if change == nil {
		return r, errNothing
	}
	var changed error
	r, err = o.record(ctx, func(tx *Tx) error {
		changed = change(tx)
		return changed
	})
	if err != nil && (changed == nil || store.Cause(err) != nil) && !errors.Is(ctx.Err(), context.Canceled) {
		o.note(false, err)
	}
	return r, err
}

func (o *Outbox) record(ctx context.Context, change func(tx *Tx) error) (r Recorded, err error) {
	if o.cfg.Consent == Withdrawn || o.cfg.Consent == Stored && !o.ConsentBeside().On {
		return r, ErrOff
	}
	if err := o.store.Spare(ctx); err != nil {
		return r, errors.Join(err, o.relieve(ctx))
	}
	var tx *Tx
	err = o.write(ctx, func(now *Tx) error {
		tx = now
		if !tx.mayRecord() {
			return ErrOff
		}
		if r.First = tx.consent.Since.IsZero(); r.First { // from now on the user has been told
			if err := tx.setConsent(ctx, true); err != nil {
				return err
			}
		}
		return change(tx)
	}, func() { r.Trouble = tx.committed() })
	if err != nil {
		return Recorded{}, err
	}
	// Without the lock, so that nobody waits for the disk, and while the disk works, so that nobody
	// waits for a process to start. What the flusher may send before it is durable was recorded.
	starting := make(chan error, 1)
	if r.Started = tx.added > 0 && o.isDue(tx); r.Started {
		o.cfg.Point("before-spawn")
		go func() { starting <- o.startFlusher(tx.heldOne) }()
	}
	r.Trouble = errors.Join(r.Trouble, o.store.Leave())
	if r.Started {
		err := <-starting
		o.note(true, err)
		r.Started, r.Trouble = err == nil, errors.Join(r.Trouble, err)
	}
	return r, nil
}

// Update runs change in one transaction. Unlike Record it records nothing by itself: it works
// with tracking off, syncs nothing and starts no flusher. Messages are refused while tracking
// is off.
func (o *Outbox) Update(ctx context.Context, change func(tx *Tx) error) error {
	if change == nil {
		return errNothing
	}
	var tx *Tx
	var after error
	err := o.write(ctx, func(now *Tx) error {
		tx = now
		return change(tx)
	}, func() { after = tx.committed() })
	return errors.Join(err, after)
}

// View runs look in a transaction that cannot write, without the lock: looking at the queue
// changes nothing and waits for nobody. It returns ErrNone when there is no database.
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

// write runs fn in a transaction of a database that is at home on this machine, and committed after it, with the lock still held.
func (o *Outbox) write(ctx context.Context, fn func(tx *Tx) error, committed func()) error {
	return o.store.Write(ctx, func(sqlTx *sql.Tx) error { return o.atHome(ctx, sqlTx, fn) }, committed)
}

func (o *Outbox) atHome(ctx context.Context, sqlTx *sql.Tx, fn func(tx *Tx) error) error {
	tx, err := o.begin(ctx, sqlTx)
	if err != nil {
		return err
	}
	if err := o.settleIn(ctx, tx); err != nil {
		return err
	}
	return fn(tx)
}
