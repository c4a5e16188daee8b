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
	// spareRoom has to be left on the disk, in bytes, beside what the WAL needs: an event's pages in the WAL and then in the
	// database, and what settling it will write.
	spareRoom = 128 << 10
	// plenty is room for any WAL.
	plenty = 64 << 20
)

// free is the room left on the disk, in bytes.
func (s *Store) free() int64 {
	if free, known := freeRoom(filepath.Dir(s.cfg.Path)); known {
		return free
	}
	return math.MaxInt64
}

// IsAlmostFull reports whether the room left on the disk could not take the WAL into the database and 128 kB.
func (s *Store) IsAlmostFull() bool {
	free := s.free()
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
		err := s.Locked(ctx, func() error {
			return s.use(ctx, "move the WAL", func(db *database) error { db.checkpoint(ctx); return nil })
		})
		if err != nil {
			return err
		}
	}
	if s.IsAlmostFull() {
		return explain(s.cfg.Path, "look for room", ErrFull)
	}
	return nil
}

// CheckWrite returns the error that a Write would meet: it writes, and rolls that back. Without a database, or with one that the
// next Write has to migrate, it checks whether one can be made. Files beside the database which the caller will make are checked, too.
// It leaves nothing behind.
func (s *Store) CheckWrite(ctx context.Context, beside ...string) error {
	err := s.View(ctx, func(*sql.Tx) error { return nil })
	if errors.Is(err, ErrNone) {
		dir, err := ground(s.cfg.Path)
		if err == nil {
			err = tryWriting(filepath.Join(dir, filepath.Base(s.cfg.Path)), missing(s.cfg.Path, beside), pageSize)
		}
		return explain(s.cfg.Path, "make a database", err)
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
			return errors.Join(complete(s.cfg.Schemas).write(ctx, tx), tryWriting(s.cfg.Path, missing(s.cfg.Path, beside), spareRoom))
		})
	})
}

// Shrink gives up to the given number of pages back to the file system, 0 being all, and the WAL, unless a process is reading it:
// waiting for that would hold up every writer. It also removes what processes of earlier versions have left unfinished.
func (s *Store) Shrink(ctx context.Context, pages int) error { return s.shrink(ctx, pages, 0) }

func (s *Store) shrink(ctx context.Context, pages int, wait time.Duration) error {
	return s.Locked(ctx, func() error {
		if s.locked {
			_ = removeBeside(s.cfg.Path, newSuffix, makingInfix) // or next time
		}
		return s.use(ctx, "shrink the database", func(db *database) error {
			if s.IsAlmostFull() && db.checkpoint(ctx) { // pages move through the WAL
				pages = int(max(s.free()/(2*pageSize), 1))
			}
			for _, statement := range []string{
				fmt.Sprintf("PRAGMA incremental_vacuum(%d)", pages),
				"PRAGMA busy_timeout = " + milliseconds(wait),
				"PRAGMA wal_checkpoint(TRUNCATE)",
				"PRAGMA busy_timeout = " + milliseconds(db.busy),
			} {
				s.cfg.Point("before-shrink")
				if err := runToEnd(ctx, db, statement); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// runToEnd reads all rows of a statement: incremental_vacuum yields one per page, and works only as far as they are read.
func runToEnd(ctx context.Context, db *database, statement string) error {
	rows, err := db.QueryContext(ctx, statement)
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
	return explain(s.cfg.Path, "remove copies of damaged databases", err)
}

// Copies returns the paths of the damaged databases that were set aside, oldest first. They stay until they are erased.
func (s *Store) Copies() ([]string, error) {
	found, err := copies(s.cfg.Path)
	return found, explain(s.cfg.Path, "look for copies of damaged databases", err)
}
