package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

const (
	plenty   = 64 << 20 // room for any WAL, in bytes: its size is not asked then
	pageSize = 4096     // SQLite's default, in bytes
)

// IsAlmostFull reports whether the room left on the disk could not take the WAL into the database and 128 kB.
func (s *Store) IsAlmostFull() bool {
	free := freeRoom(filepath.Dir(s.cfg.Path))
	return free < plenty && free < s.WALSize()+spareRoom
}

// EnsureRoom returns ErrFull when the disk is almost full, also after the WAL was moved. New rows must not take the last of the room:
// a WAL that has filled a disk cannot be moved into the database, which has to grow for that, and pending messages could never be
// settled.
func (s *Store) EnsureRoom(ctx context.Context) error {
	if !s.IsAlmostFull() {
		return nil
	}
	if file, err := look(s.cfg.Path); file != nil && err == nil {
		if err := s.Locked(ctx, func() error { return s.checkpoint(ctx, s.busy) }); err != nil {
			return err
		}
	}
	if s.IsAlmostFull() {
		return s.explain("look for room", ErrFull)
	}
	return nil
}

// CheckWrite returns the error that a Write would meet: it writes, and rolls that back. Without a database, or with one that the
// next Write has to migrate, it checks whether one can be made. It leaves nothing behind.
func (s *Store) CheckWrite(ctx context.Context) error {
	err := s.View(ctx, func(*sql.Tx) error { return nil })
	if errors.Is(err, ErrNone) {
		dir, err := ground(s.cfg.Path)
		if err == nil {
			err = tryWriting(filepath.Join(dir, filepath.Base(s.cfg.Path)))
		}
		return s.explain("make a database", err)
	}
	if err == nil {
		err = s.EnsureRoom(ctx)
	}
	if err != nil {
		return err
	}
	return s.Locked(ctx, func() error {
		return s.use(ctx, "write to the database", func(db *database) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			tried := tryWriting(s.cfg.Path)
			if at, ok := errors.AsType[*fs.PathError](tried); ok && at.Op == "open" && Cause(tried) == ErrFull {
				tried = nil // no inode is left, and a database with all its files needs none
			}
			return errors.Join(mark(ctx, tx, s.cfg.Schemas), tried)
		})
	})
}

// Shrink gives up to the given number of pages back to the file system, 0 being all, and the WAL, unless a process is reading it:
// waiting for that would hold up every writer. It also removes what processes of earlier versions have left unfinished.
func (s *Store) Shrink(ctx context.Context, pages int) error { return s.shrink(ctx, pages, 0) }

func (s *Store) shrink(ctx context.Context, pages int, wait time.Duration) error {
	return s.Locked(ctx, func() error {
		if s.IsAlmostFull() { // pages move through the WAL
			if err := s.checkpoint(ctx, wait); err != nil {
				return err
			}
			pages = int(max(freeRoom(filepath.Dir(s.cfg.Path))/(2*pageSize), 1))
		}
		s.cfg.Point("before-shrink")
		err := s.use(ctx, "shrink the database", func(db *database) error { return vacuum(ctx, db, pages) })
		if err != nil {
			return err
		}
		if s.locked { // and the database is there: a whole one has been adopted
			_ = removeBeside(s.cfg.Path, newSuffix, makingInfix) // or next time
		}
		return s.checkpoint(ctx, wait)
	})
}

// checkpoint moves the WAL into the database and truncates it, unless another process reads it for longer than wait. Called within
// Locked.
func (s *Store) checkpoint(ctx context.Context, wait time.Duration) error {
	return s.use(ctx, "move the WAL", func(db *database) error {
		if err := db.waitFor(ctx, wait); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
		return err
	})
}

// vacuum reads all rows of its statement, which yields one per page and works only as far as they are read.
func vacuum(ctx context.Context, db *database, pages int) error {
	rows, err := db.QueryContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", pages))
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return errors.Join(rows.Err(), rows.Close())
}

// eraseWait is how long erasing waits for readers of the WAL.
const eraseWait = 5 * time.Second

// Erase is Write for a change that deletes: deleted rows are overwritten with zeros, all pages and the WAL are given back, and
// copies of damaged databases are removed, so that their content is gone from the disk as far as SQLite can see to it.
func (s *Store) Erase(ctx context.Context, change func(tx *sql.Tx) error, committed func()) error {
	return s.Locked(ctx, func() error {
		err := s.removeCopies() // first: at the limit of copies a damaged database could not be set aside
		if err != nil {
			return err
		}
		err = s.Write(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "PRAGMA secure_delete = on"); err != nil {
				return err
			}
			return change(tx)
		}, committed)
		if err != nil {
			return err
		}
		return errors.Join(s.shrink(ctx, 0, eraseWait), s.removeCopies())
	})
}

func (s *Store) removeCopies() error {
	err := removeBeside(s.cfg.Path, oldCopyInfix, damagedSuffix, newSuffix, makingInfix)
	return s.explain("remove copies of damaged databases", err)
}

// Copies returns the paths of the damaged databases that were set aside, oldest first. They stay until they are erased.
func (s *Store) Copies() ([]string, error) {
	found, err := copies(s.cfg.Path)
	return found, s.explain("look for copies of damaged databases", err)
}
