package outbox

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// Enable switches tracking on.
func (o *Outbox) Enable(ctx context.Context) error {
	return o.store.Locked(ctx, func() error {
		if err := os.Remove(o.offPath()); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
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
