package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Consent is whether usage may be recorded and sent.
type Consent struct {
	On    bool
	Since time.Time // zero while nobody was asked
}

// ConsentTx reads the consent. Nobody having been asked yet counts as on.
//
// A switch that can only be read in a database is lost with it, and usage would silently be
// recorded again. So Disable leaves an empty file beside the database, too, and off is what either
// of them says.
func (o *Outbox) ConsentTx(ctx context.Context, tx *sql.Tx) (Consent, error) {
	c := o.ConsentBeside()
	var on bool
	var since int64
	err := tx.QueryRowContext(ctx, `SELECT tracking, since FROM consent`).Scan(&on, &since)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	if err != nil {
		return Consent{}, fmt.Errorf("read consent: %w", err)
	}
	if c.On || !on {
		c = Consent{On: on, Since: time.UnixMilli(since).UTC()}
	}
	return c, nil
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
	file, err := os.OpenFile(o.offPath(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

func (o *Outbox) unmarkOff() error {
	if err := os.Remove(o.offPath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// PresumeConsentTx notes that from now on the user has been told what is recorded.
func PresumeConsentTx(ctx context.Context, tx *sql.Tx, now time.Time) error {
	return setConsentTx(ctx, tx, true, now)
}

func setConsentTx(ctx context.Context, tx *sql.Tx, on bool, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO consent (id, tracking, since) VALUES (1, ?, ?)
		ON CONFLICT (id) DO UPDATE SET tracking = excluded.tracking, since = excluded.since
		WHERE tracking <> excluded.tracking`, on, now.UnixMilli())
	if err != nil {
		return fmt.Errorf("store consent: %w", err)
	}
	return nil
}

// Enable switches tracking on.
func (o *Outbox) Enable(ctx context.Context) error {
	return o.WithLock(ctx, func() error {
		if err := o.unmarkOff(); err != nil {
			return err
		}
		return o.InTx(ctx, func(tx *sql.Tx) error { return setConsentTx(ctx, tx, true, o.cfg.Now()) })
	})
}

// Disable switches tracking off and erases every message, so that what waits is never
// delivered, not even after Enable. It returns how many were waiting.
func (o *Outbox) Disable(ctx context.Context) (erased int, err error) {
	err = o.WithLock(ctx, func() error {
		if err := o.markOff(); err != nil { // first: it holds even if the database cannot be used
			return err
		}
		erased, err = o.erase(ctx, func(tx *sql.Tx) error { return setConsentTx(ctx, tx, false, o.cfg.Now()) })
		return err
	})
	return erased, err
}

// Clear erases every message and returns how many were waiting.
func (o *Outbox) Clear(ctx context.Context) (erased int, err error) {
	return o.erase(ctx, func(*sql.Tx) error { return nil })
}

// erase overwrites what it deletes with zeros (secure_delete) and gives all pages and the WAL
// back, so that the messages are gone from the disk as far as SQLite can see to it. A corrupt
// database that was set aside goes, too.
func (o *Outbox) erase(ctx context.Context, also func(tx *sql.Tx) error) (erased int, err error) {
	err = o.WithLock(ctx, func() error {
		err := o.InTx(ctx, func(tx *sql.Tx) (err error) {
			if _, err := tx.ExecContext(ctx, "PRAGMA secure_delete = on"); err != nil {
				return err
			}
			if err := also(tx); err != nil {
				return err
			}
			erased, err = eraseTx(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
		err = o.mending(ctx, func() error { return o.shrink(ctx, 0, o.cfg.BusyWait) }) // 0: every page
		return errors.Join(err, o.removeAside())
	})
	return erased, err
}

func eraseTx(ctx context.Context, tx *sql.Tx) (waiting int, err error) {
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
