package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// makingInfix names databases in the making. The rest of the name is the process, since a process
// that did not get the lock may be at it, too.
const makingInfix = ".making-"

// create makes a complete database beside its place, without syncs, syncs it once and moves it to
// its place. Nobody ever sees half of one, and a process that dies here leaves the place empty. It
// is no error when another process was faster: what is there is never replaced.
func (s *Store) create(ctx context.Context) error {
	if s.lock != nil {
		s.removeBeside(makingInfix)
	}
	making := fmt.Sprintf("%s%s%d", s.cfg.Path, makingInfix, os.Getpid())
	defer removeFiles(making, append(databaseFiles(), "-journal")...)
	db, err := s.build(ctx, making)
	if err == nil {
		err = s.finish(ctx, db, making)
	}
	if err == nil {
		s.cfg.Point("built")
		err = s.removeStray()
	}
	if err == nil {
		err = place(making, s.cfg.Path)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		if _, statErr := os.Stat(s.cfg.Path); statErr == nil { // whoever was faster removed ours
			return nil
		}
		return err
	}
	s.placed = true
	s.cfg.Point("placed")
	return nil
}

// removeStray removes the side files of a database that is no longer there: SQLite would take its WAL
// for one of the new database. Side files never come before their database, so what lies there while
// the place is empty belongs to nobody.
func (s *Store) removeStray() error {
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if _, err := os.Lstat(s.cfg.Path + suffix); err != nil {
			continue
		}
		if _, err := os.Lstat(s.cfg.Path); err == nil {
			return fs.ErrExist
		}
		if err := removeFiles(s.cfg.Path, suffix); err != nil {
			return err
		}
	}
	return nil
}

// build makes a database with our tables at path, with nothing synced. The file is created 0600
// before SQLite opens it; its WAL and its shared memory then inherit the mode and the owner.
func (s *Store) build(ctx context.Context, path string) (*sql.DB, error) {
	if err := removeFiles(path, append(databaseFiles(), "-journal")...); err != nil { // of a process that died
		return nil, err
	}
	if err := createFile(path); err != nil {
		return nil, err
	}
	s.cfg.Point("created")
	db, err := connectAlone(ctx, path, s.cfg.BusyWait,
		"PRAGMA synchronous = OFF", "PRAGMA journal_mode = MEMORY", "PRAGMA auto_vacuum = incremental")
	if err != nil {
		return nil, err
	}
	s.cfg.Point("initialized")
	if err := s.apply(ctx, db, make([]int, len(s.cfg.Schemas))); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// finish closes a database that build has made and syncs it.
func (s *Store) finish(ctx context.Context, db *sql.DB, path string) error {
	_, err := db.ExecContext(ctx, "PRAGMA journal_mode = wal")
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	_, err = syncFile(path)
	return err
}

// CreateFile makes an empty file (0600) beside the database, as its directory's owner's, unless there is
// one.
func CreateFile(path string) error {
	if err := createFile(path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func createFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), giveToOwner(path))
}

// makeDirectory is MkdirAll with what it makes given to the owner of what was there.
func makeDirectory(path string) error {
	var made []string
	for dir := path; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		made = append(made, dir)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for i := len(made) - 1; i >= 0; i-- {
		if err := giveToOwner(made[i]); err != nil {
			return err
		}
	}
	return nil
}

// removeFiles removes what is there of the files with the given suffixes.
func removeFiles(path string, suffixes ...string) (err error) {
	for _, suffix := range suffixes {
		if one := os.Remove(path + suffix); !errors.Is(one, fs.ErrNotExist) {
			err = errors.Join(err, one)
		}
	}
	return err
}

// removeBeside removes the files beside the database whose names go on with infix.
func (s *Store) removeBeside(infix string) error {
	dir, name := filepath.Split(s.cfg.Path)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), name+infix) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, entry.Name())))
		}
	}
	return err
}
