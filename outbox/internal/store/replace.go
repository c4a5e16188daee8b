package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// newSuffix names the database that is about to take a damaged one's place, and asideInfix what was
// set aside.
const (
	newSuffix  = ".new"
	asideInfix = ".corrupt-"
)

// databaseFiles are the suffixes of the files that make up one database.
func databaseFiles() []string { return []string{"", "-wal", "-shm"} }

func (s *Store) isHalfReplaced() bool {
	_, err := os.Lstat(s.cfg.Path)
	_, newErr := os.Lstat(s.cfg.Path + newSuffix)
	return errors.Is(err, fs.ErrNotExist) && newErr == nil
}

// replace puts a new database with all that can be read of a damaged one in its place. Called with
// the write lock held, and really so: of two that replaced the same database, the second would set
// aside what others had committed to the first one's.
//
// A process can die anywhere in here. Until the new database is complete the damaged one stays
// where it is, and the next process begins again; from then on the next one goes on (see ensure).
func (s *Store) replace(ctx context.Context) error {
	s.Close()    // its error could only say again that the file is damaged
	s.file = nil // what comes into its place is the one to go on with
	for range 3 {
		before := s.lastWritten()
		if err := s.rebuild(ctx); err != nil {
			return err
		}
		s.cfg.Point("salvaged")
		if s.lastWritten() == before {
			return s.swap()
		}
	}
	return errors.New("others write to the damaged database")
}

// lastWritten tells whether the database has changed. This process may be stopped in the middle of a
// replacement, until others no longer wait for the lock; and damage need not be in their way. An
// empty WAL is what a look leaves behind.
func (s *Store) lastWritten() (at [2]time.Time) {
	for i, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.cfg.Path + suffix); err == nil && info.Size() > 0 {
			at[i] = info.ModTime()
		}
	}
	return at
}

// rebuild makes the new database, complete and synced, out of what can be read of the old one.
func (s *Store) rebuild(ctx context.Context) error {
	path := s.cfg.Path + newSuffix
	if err := s.RemoveAside(); err != nil { // one copy is kept, not one for each bad day
		return err
	}
	fresh, err := s.build(ctx, path)
	if err != nil {
		return err
	}
	if err := s.salvage(ctx, fresh); err != nil {
		fresh.Close()
		return err
	}
	return s.finish(ctx, fresh, path)
}

// swap sets the database at the path aside, if there is one, and moves the new one there.
func (s *Store) swap() error {
	aside := s.cfg.Path + asideInfix + s.cfg.Now().UTC().Format("20060102T150405.000")
	if err := setAside(s.cfg.Path, aside); err != nil {
		return err
	}
	s.cfg.Point("set-aside")
	if err := os.Rename(s.cfg.Path+newSuffix, s.cfg.Path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(s.cfg.Path))
}

// setAside renames the database, its WAL and its shared memory together: the WAL of one database
// must never meet another. The database goes first: if the process dies in between, the missing
// database tells the next one to go on.
func setAside(path, aside string) error {
	for _, suffix := range append(databaseFiles(), "-journal") {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// RemoveAside removes what earlier replacements have set aside. All that could be read of it has
// been carried over.
func (s *Store) RemoveAside() error {
	return s.explain("remove what was set aside", s.removeBeside(asideInfix))
}
