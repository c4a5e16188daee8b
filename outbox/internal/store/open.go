package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// open opens the database, creates it or migrates it, whichever is needed. Called with the write
// lock held: without it a first run of many processes at once fails with BUSY now and then, in spite
// of the busy timeout.
func (s *Store) open(ctx context.Context) error {
	if s.file != nil && !s.isCurrent() {
		if s.cfg.Existing {
			s.Close() // its error is that of a database that nobody will open again
			return fmt.Errorf("the database was removed or replaced: %w", ErrNone)
		}
		s.Close()
	}
	if s.db != nil && s.ready {
		return nil
	}
	if err := s.ensure(ctx); err != nil {
		return err
	}
	db, found, err := s.connectHead(ctx)
	if isUnmappable(err) {
		if err = s.abandonWAL(ctx); err == nil {
			db, found, err = s.connectHead(ctx)
		}
	}
	if err != nil {
		return err
	}
	if err = s.migrate(ctx, db, found); err == nil {
		err = s.keepPromiseWithoutWAL(ctx, db)
	}
	if err == nil {
		s.file, err = os.Stat(s.cfg.Path)
	}
	if err != nil {
		db.Close()
		return err
	}
	s.db, s.ready = db, true
	return nil
}

// ensure sees to it that there is a file. A replacement that lies there without its database was
// complete when its maker died.
func (s *Store) ensure(ctx context.Context) error {
	_, err := os.Lstat(s.cfg.Path)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case s.isHalfReplaced():
		if s.lock == nil {
			return fmt.Errorf("the database is being replaced: %w", ErrLocked)
		}
		return s.swap()
	case s.cfg.Existing:
		return ErrNone
	default:
		return s.create(ctx)
	}
}

// openEarly connects to a database that is in use, before the lock is taken: that takes longer than
// all that is done with the lock in hand, and a crowd waits for the lock. Its version is read, and
// whether it is still the one at the path, by open. What is not as usual is left to open, too: a
// database without a WAL may be in the making, and a reader could make that fail.
func (s *Store) openEarly(ctx context.Context) {
	file, err := os.Stat(s.cfg.Path)
	if err != nil || file.Size() == 0 || s.file != nil && !os.SameFile(file, s.file) {
		return
	}
	if _, err := os.Stat(s.cfg.Path + "-wal"); err != nil {
		return
	}
	db, err := connect(s.cfg.Path, s.cfg.BusyWait)
	if err != nil {
		return
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		err = conn.Close() // back into the pool
	}
	if err != nil {
		db.Close()
		return
	}
	s.db, s.file = db, file
	s.cfg.Point("opened-early")
}

// isCurrent tells whether the open database is still the one at the path: another process may have
// replaced a damaged one, or a person removed it, and what is written to such a file is never seen
// again.
func (s *Store) isCurrent() bool {
	file, err := os.Stat(s.cfg.Path)
	return err == nil && os.SameFile(file, s.file)
}

// connect opens an existing file, at the latest when it is first used.
func connect(path string, busy time.Duration) (*sql.DB, error) {
	return connectTo(dsn(path, busy, url.Values{"_synchronous": {"NORMAL"}, "_pragma": pragmas()}))
}

func connectTo(dsn string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn)
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// connectAlone opens a file that nobody else will use meanwhile, which needs no shared memory. The
// driver sorts the pragmas of a DSN, and that one counts only before the first look at the file.
func connectAlone(ctx context.Context, path string, busy time.Duration, statements ...string) (*sql.DB, error) {
	db, err := connectTo(dsn(path, busy, nil))
	if err != nil {
		return nil, err
	}
	for _, statement := range append([]string{"PRAGMA locking_mode = EXCLUSIVE"}, statements...) {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			db.Close()
			return nil, err
		}
	}
	return db, nil
}

func (s *Store) connectHead(ctx context.Context) (db *sql.DB, found head, err error) {
	if db, s.db = s.db, nil; db == nil { // not opened early
		if db, err = connect(s.cfg.Path, s.cfg.BusyWait); err != nil {
			return nil, found, err
		}
	}
	if found, err = readHead(ctx, db); err != nil {
		db.Close()
		return nil, found, err
	}
	return db, found, nil
}

// abandonWAL turns the database to a rollback journal, which needs no shared memory: there are file
// systems that cannot map a file shared (FUSE with direct_io, some network homes). The file itself
// remembers that. A connection that is alone with the database keeps the WAL's index to itself.
func (s *Store) abandonWAL(ctx context.Context) error {
	db, err := connectAlone(ctx, s.cfg.Path, s.cfg.BusyWait, "PRAGMA synchronous = FULL")
	if err != nil {
		return err
	}
	defer db.Close()
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode); err != nil {
		return err
	}
	if mode != "delete" {
		return fmt.Errorf("the database needs shared memory, which this file system lacks (journal mode %s)", mode)
	}
	s.cfg.Point("wal-abandoned")
	return db.Close()
}

// keepPromiseWithoutWAL makes a commit without a WAL as durable as one that Leave has synced.
func (s *Store) keepPromiseWithoutWAL(ctx context.Context, db *sql.DB) error {
	if _, err := os.Stat(s.cfg.Path + "-wal"); err == nil {
		return nil
	}
	s.placed = false
	_, err := db.ExecContext(ctx, "PRAGMA synchronous = FULL")
	return err
}

// dsn carries the settings that belong to a connection; as pragmas run once they would be lost with
// the connection they were run on. synchronous=NORMAL leaves the sync of a commit to Leave.
func dsn(path string, busy time.Duration, more url.Values) string {
	values := url.Values{
		"mode":          {"rw"}, // never creates: create does, with the right mode
		"_busy_timeout": {strconv.FormatInt(busy.Milliseconds(), 10)},
		"_txlock":       {"immediate"},
	}
	maps.Copy(values, more)
	return fileURI(path, values)
}

func pragmas() []string {
	list := []string{"cache_size(-400)"} // kB; a batch fits, and a flusher's peak is 3 MB lower
	if runtime.GOOS == "darwin" {        // a plain fsync leaves the drive's cache alone there, a power cut does not
		list = append(list, "checkpoint_fullfsync(1)")
	}
	return list
}

// viewDSN is for looking only. An immutable database is read without its side files, which cannot be
// made on a read-only disk.
func viewDSN(path string, busy time.Duration, immutable bool, pragmas ...string) string {
	return fileURI(path, url.Values{
		"mode":          {"ro"},
		"immutable":     {strconv.FormatBool(immutable)},
		"_busy_timeout": {strconv.FormatInt(busy.Milliseconds(), 10)},
		"_pragma":       pragmas,
	})
}

// fileURI percent-encodes the path, which may hold ? # and %.
func fileURI(path string, query url.Values) string {
	slashed := filepath.ToSlash(path)
	if filepath.VolumeName(path) != "" {
		slashed = "/" + slashed
	}
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: query.Encode()}).String()
}
