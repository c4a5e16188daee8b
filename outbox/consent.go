package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Consent is whether usage may be recorded and sent.
type Consent struct {
	On    bool
	Since time.Time // zero while nobody was asked
}

// consent joins what the database says with what lies beside it. Nobody having been asked yet
// counts as on.
//
// A switch that can only be read in a database is lost with it, and usage would silently be
// recorded again. So Disable leaves an empty file beside the database, too, and off is what
// either of them says.
func (o *Outbox) consent(on sql.NullBool, since sql.NullInt64) Consent {
	c := o.ConsentBeside()
	if on.Valid && (c.On || !on.Bool) {
		c = Consent{On: on.Bool, Since: time.UnixMilli(since.Int64).UTC()}
	}
	return c
}

// ConsentBeside is what the directory says without the database: off since Disable, or on.
func (o *Outbox) ConsentBeside() Consent {
	info, err := os.Lstat(o.offPath())
	if err != nil {
		return Consent{On: true}
	}
	return Consent{Since: info.ModTime().UTC()}
}

func (o *Outbox) offPath() string { return o.cfg.Path + ".off" }

// markOff is synced: what corrupts a database is most often a power cut.
func (o *Outbox) markOff() error {
	if err := store.CreateFile(o.offPath()); err != nil {
		return err
	}
	_, err := store.SyncFile(o.offPath())
	return err
}

func (tx *Tx) setConsent(ctx context.Context, on bool) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO consent (id, tracking, since) VALUES (1, ?, ?)
		ON CONFLICT (id) DO UPDATE SET tracking = excluded.tracking, since = excluded.since
		WHERE tracking <> excluded.tracking`, on, tx.now.UnixMilli())
	if err != nil {
		return fmt.Errorf("store consent: %w", err)
	}
	return nil
}

// Enable switches tracking on.
func (o *Outbox) Enable(ctx context.Context) error {
	return o.store.Locked(ctx, func() error {
		if err := os.Remove(o.offPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return o.write(ctx, func(tx *Tx) error { return tx.setConsent(ctx, true) }, nil)
	})
}

// Disable switches tracking off and erases every message, so that what waits is never delivered,
// not even after Enable. It returns how many were waiting.
func (o *Outbox) Disable(ctx context.Context) (erased int, err error) {
	err = o.store.Locked(ctx, func() error {
		if err := o.markOff(); err != nil { // first: it holds even if the database cannot be used
			return err
		}
		erased, err = o.erase(ctx, func(tx *Tx) error { return tx.setConsent(ctx, false) })
		return err
	})
	return erased, err
}

// Clear erases every message and returns how many were waiting. also, when not nil, changes
// tables of the caller's in the same transaction.
func (o *Outbox) Clear(ctx context.Context, also func(tx *Tx) error) (erased int, err error) {
	if also == nil {
		also = func(*Tx) error { return nil }
	}
	return o.erase(ctx, also)
}

// erase leaves nothing on the disk of what it deletes, as far as SQLite can see to it.
func (o *Outbox) erase(ctx context.Context, also func(tx *Tx) error) (erased int, err error) {
	var tx *Tx
	var after error
	err = o.store.Erase(ctx, func(sqlTx *sql.Tx) error {
		return o.atHome(ctx, sqlTx, func(now *Tx) (err error) {
			tx = now
			if err := also(tx); err != nil {
				return err
			}
			erased, err = tx.eraseAll(ctx)
			return err
		})
	}, func() { after = tx.committed() })
	return erased, errors.Join(err, after)
}

func (tx *Tx) eraseAll(ctx context.Context) (waiting int, err error) {
	err = tx.QueryRowContext(ctx, `SELECT count(*) FROM messages WHERE state = 'pending'`).Scan(&waiting)
	if err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM messages`); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE delivery SET erased = erased + ?`, waiting)
	return waiting, err
}
