package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"
)

// Shrink gives up to the given number of pages back to the file system, 0 being all, and the WAL,
// unless somebody still reads it after the wait. Who waits for readers holds up every writer.
func (s *Store) Shrink(ctx context.Context, pages int, wait time.Duration) error {
	return s.Locked(ctx, func() error {
		return s.mending(ctx, func() error { return s.explain("shrink the database", s.shrink(ctx, pages, wait)) })
	})
}

func (s *Store) shrink(ctx context.Context, pages int, wait time.Duration) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	s.giveUpRoom()
	if s.IsTight() && s.checkpoint(ctx) { // what moves goes through the WAL
		pages = int(max(s.free()/(2*pageSize), 1))
	}
	return s.run(ctx,
		fmt.Sprintf("PRAGMA incremental_vacuum(%d)", pages),
		fmt.Sprintf("PRAGMA busy_timeout = %d", wait.Milliseconds()),
		"PRAGMA wal_checkpoint(TRUNCATE)",
		fmt.Sprintf("PRAGMA busy_timeout = %d", s.cfg.BusyWait.Milliseconds()))
}

// run reads what the statements yield to its end: incremental_vacuum yields a row per page, and
// works only as far as the rows are read.
func (s *Store) run(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		s.cfg.Point("before-shrink")
		rows, err := s.db.QueryContext(ctx, statement)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Reserve sets size bytes of the disk aside, for what this store will write next: when a Write then
// meets a full disk, the room is given up and the write is done again. Without it a flusher whose
// messages were accepted could not note that, and would send them twice. ErrFull says that there is
// not as much room; where none can be had for another reason nothing is set aside. It lasts until
// it is used, or Leave or Close.
//
// The lock's file takes up the room, because nobody reads it: a file of its own would be made just when
// somebody removes the home.
func (s *Store) Reserve(ctx context.Context, size int64) error {
	return s.Locked(ctx, func() error {
		if err := s.open(ctx); err != nil {
			return s.explain("open the database", err)
		}
		err := fill(s.roomPath(), size)
		if isFull(err) && s.checkpoint(ctx) {
			err = fill(s.roomPath(), size)
		}
		if s.reserved = err == nil; !isFull(err) {
			return nil
		}
		return s.explain("make room", err)
	})
}

func (s *Store) roomPath() string { return s.cfg.Path + lockSuffix }

// trySuffix names what Try writes: a file of its own, because another process may have reserved room.
const trySuffix = ".try"

// Try does what a Write of size bytes would need and undoes it. Without a database, or with one that
// the next Write will have to migrate, it looks at the directory only: nothing is created.
func (s *Store) Try(ctx context.Context, size int64) error {
	err := s.View(ctx, func(*sql.Tx) error { return nil })
	if errors.Is(err, ErrNone) {
		return s.explain("look at the directory", tryDirectory(filepath.Dir(s.cfg.Path)))
	}
	if err != nil {
		return err
	}
	return s.Locked(ctx, func() error {
		if err := s.open(ctx); err != nil {
			return s.explain("open the database", err)
		}
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return s.explain("begin", err)
		}
		defer tx.Rollback()
		if _, err := tx.ExecContext(ctx, s.current().pragmas()); err != nil {
			return s.explain("write", err)
		}
		return s.explain("make room", s.tryRoom(size))
	})
}

func (s *Store) tryRoom(size int64) error {
	path := s.cfg.Path + trySuffix
	err := os.Remove(path) // of a process that died
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = createFile(path)
	}
	if err == nil {
		err = fill(path, size)
	}
	if removal := os.Remove(path); err == nil {
		err = removal
	}
	return err
}

// tryDirectory tells why nothing can be made in a directory, or the directory itself.
func tryDirectory(dir string) error {
	for {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, os.ErrNotExist) && filepath.Dir(dir) != dir:
			dir = filepath.Dir(dir)
		case err != nil:
			return err
		case !info.IsDir():
			return ErrNotDirectory
		default:
			return access(dir)
		}
	}
}

// fill makes a file that is there take up as much room, with what no file system can store in less,
// or none.
func fill(path string, size int64) error {
	info, err := os.Lstat(path)
	if err != nil || info.Size() > size {
		return err
	}
	if !info.Mode().IsRegular() { // never what a link leads to
		return ErrNotFile
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	filler := make([]byte, size)
	rand.Read(filler)                                 // never fails
	if _, err = file.WriteAt(filler, 1); err != nil { // Windows forbids the first byte, which is locked
		file.Truncate(0)
	}
	return errors.Join(err, file.Close())
}

func (s *Store) giveUpRoom() bool {
	had := s.reserved
	s.reserved = false
	return had && os.Truncate(s.roomPath(), 0) == nil
}

// makeRoom gives up what was reserved, and the WAL, and tells whether there is hope for another try.
func (s *Store) makeRoom(ctx context.Context) bool {
	gave := s.giveUpRoom()
	return s.checkpoint(ctx) || gave
}

// tightRoom is the room left on a disk, in bytes, below which nothing is kept that need not be, and
// tightWAL the size from which on a WAL is such.
const (
	tightRoom = 256 << 10
	tightWAL  = 64 << 10
)

// IsTight tells whether there is little room left on the disk.
func (s *Store) IsTight() bool { return s.free() < tightRoom }

// free is the room left on the disk, in bytes.
func (s *Store) free() int64 {
	if free, known := freeRoom(filepath.Dir(s.cfg.Path)); known {
		return free
	}
	return math.MaxInt64
}

// Spare returns ErrFull unless so much room is left on the disk, in bytes. What is written must not take
// the last of it: a WAL that has filled up a disk cannot be moved into the database, which has to
// grow for that, and what waits could never be settled.
func (s *Store) Spare(ctx context.Context, size int64) error {
	if s.free() >= size {
		return nil
	}
	full := s.explain("look for room", ErrFull)
	if !s.exists() {
		return full
	}
	return s.Locked(ctx, func() error {
		if err := s.open(ctx); err != nil {
			return s.explain("open the database", err)
		}
		if s.checkpoint(ctx) && s.free() >= size {
			return nil
		}
		return full
	})
}

// keepSmall moves a WAL of that size into the database while there is still room for that. The last
// close would do so, too, but a flusher may have the database open. Nobody waits for readers here.
func (s *Store) keepSmall(ctx context.Context, wal int64) {
	if wal < tightWAL || s.free() >= max(wal, tightRoom) {
		return
	}
	if _, err := s.db.ExecContext(ctx, "PRAGMA busy_timeout = 100"); err == nil {
		s.checkpoint(ctx)
	}
}

// checkpoint moves the WAL into the database and truncates it.
func (s *Store) checkpoint(ctx context.Context) bool {
	if s.db == nil {
		return false
	}
	var busy, frames, moved int
	err := s.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	return err == nil && busy == 0
}
