package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"
)

const (
	// spareRoom has to be left on the disk, in bytes, beside what the WAL needs: what an event's pages take in the WAL and then in
	// the database, and what settling it will write.
	spareRoom = 128 << 10
	// plenty is room for any WAL.
	plenty = 64 << 20
)

// WALSize returns the size of the WAL in bytes, 0 without one.
func (s *Store) WALSize() int64 { return s.Stamp()[2] }

// free is the room left on the disk, in bytes.
func (s *Store) free() int64 {
	if free, known := freeRoom(filepath.Dir(s.cfg.Path)); known {
		return free
	}
	return math.MaxInt64
}

// IsTight tells whether the room left on the disk could not take the WAL into the database and 128 kB.
func (s *Store) IsTight() bool {
	free := s.free()
	return free < plenty && free < s.WALSize()+spareRoom
}

// Spare returns ErrFull when the disk is tight, also when the WAL was moved. What is written must not take the last of the room: a
// WAL that has filled up a disk cannot be moved into the database, which has to grow for that, and what waits could never be
// settled.
func (s *Store) Spare(ctx context.Context) error {
	if !s.IsTight() {
		return nil
	}
	if file, err := look(s.cfg.Path); file != nil && err == nil {
		err := s.Locked(ctx, func() error {
			return s.work(ctx, "move the WAL", func(db *database) error { db.checkpoint(ctx); return nil })
		})
		if err != nil {
			return err
		}
	}
	if s.IsTight() {
		return explain(s.cfg.Path, "look for room", ErrFull)
	}
	return nil
}

// Try tells what recording would meet: it does what a Write would and takes it back. Without a database, or with one that the next
// Write will have to migrate, it tries whether one can be made. It leaves nothing behind.
func (s *Store) Try(ctx context.Context) error {
	err := s.View(ctx, func(*sql.Tx) error { return nil })
	if errors.Is(err, ErrNone) {
		return explain(s.cfg.Path, "make a database", tryNew(s.cfg.Path))
	}
	if err != nil {
		return err
	}
	if err := s.Spare(ctx); err != nil {
		return err
	}
	return s.Locked(ctx, func() error {
		err := s.twice(ctx, func(db *database) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			return complete(s.cfg.Schemas).write(ctx, tx)
		})
		if err == nil {
			err = tryRoom(s.cfg.Path, spareRoom)
		}
		return s.explain("write to the database", err)
	})
}

// Shrink gives up to the given number of pages back to the file system, 0 being all, and the WAL, unless somebody still reads it
// after the wait: a process that waits for readers holds up every writer. What processes of earlier versions have left unfinished
// goes, too.
func (s *Store) Shrink(ctx context.Context, pages int, wait time.Duration) error {
	return s.Locked(ctx, func() error {
		if s.within == withLock {
			_ = removeUnfinished(s.cfg.Path) // next time
		}
		return s.work(ctx, "shrink the database", func(db *database) error { return s.shrink(ctx, db, pages, wait) })
	})
}

func (s *Store) shrink(ctx context.Context, db *database, pages int, wait time.Duration) error {
	if s.IsTight() && db.checkpoint(ctx) { // what moves goes through the WAL
		pages = int(max(s.free()/(2*pageSize), 1))
	}
	before := db.busy
	for _, step := range []func() error{
		func() error { return drain(ctx, db, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", pages)) },
		func() error { return db.wait(ctx, wait) },
		func() error { return drain(ctx, db, "PRAGMA wal_checkpoint(TRUNCATE)") },
		func() error { return db.wait(ctx, before) },
	} {
		s.cfg.Point("before-shrink")
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// drain reads what a statement yields to its end: incremental_vacuum yields a row per page, and works only as far as the rows are
// read.
func drain(ctx context.Context, db *database, statement string) error {
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return errors.Join(rows.Err(), rows.Close())
}

// eraseWait is how long erasing waits for readers to let go of the WAL.
const eraseWait = 5 * time.Second

// Erase is Write for a change that deletes: what it deletes is overwritten with zeros, all pages and the WAL are given back, and
// copies of damaged databases are removed, so that what they held is gone from the disk as far as SQLite can see to it.
func (s *Store) Erase(ctx context.Context, change func(tx *sql.Tx) error, committed func()) error {
	return s.Locked(ctx, func() error {
		err := s.removeCopies() // first: as many as there may be keep a damaged database from being set aside
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
		return errors.Join(s.Shrink(ctx, 0, eraseWait), s.removeCopies())
	})
}

func (s *Store) removeCopies() error {
	return explain(s.cfg.Path, "remove copies of damaged databases", removeCopies(s.cfg.Path))
}

// Copies returns the paths of what was set aside because it was damaged, oldest first. It stays until it is erased.
func (s *Store) Copies() ([]string, error) {
	found, err := copies(s.cfg.Path)
	return found, explain(s.cfg.Path, "look for copies of damaged databases", err)
}
