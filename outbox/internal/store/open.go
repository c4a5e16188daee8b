package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Config says where a Store lives and how long it may wait.
type Config struct {
	// Path is the absolute path of the database. Its side files lie beside it.
	Path string
	// Schemas are the tables: at most two sets.
	Schemas []Schema
	// Existing forbids creating anything. Without a database, or once another one is in its place, the work ends with ErrNone.
	Existing bool
	// LockWait bounds the wait for the write lock; afterwards SQLite's own locking decides. Zero means five seconds.
	LockWait time.Duration
	// BusyWait bounds SQLite's own wait for the database. Zero means one second.
	BusyWait time.Duration
	// Point, for testing, is called at the named points of the work, where a test stops or kills the process.
	Point func(name string)
}

// database is open and complete.
type database struct {
	*sql.DB
	file os.FileInfo   // what is open
	busy time.Duration // SQLite's own wait
	// isNew means that nothing was committed since fill. SQLite would sync the first commit by itself, the WAL and the directory.
	isNew bool
}

// isCurrent reports whether the open database is still the one at the path: another process may have set aside a damaged one, or
// the user removed it, and what is written to such a file is lost.
func (d *database) isCurrent(path string) bool {
	file, err := os.Stat(path)
	return err == nil && os.SameFile(file, d.file)
}

// waitFor sets how long SQLite waits for another process.
func (d *database) waitFor(ctx context.Context, busy time.Duration) error {
	if d.busy == busy {
		return nil
	}
	_, err := d.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", busy.Milliseconds()))
	if err == nil {
		d.busy = busy
	}
	return err
}

// openDatabase opens the database, and creates or migrates it first if need be. Without the lock it opens only one that is complete:
// many first commands at once would fail now and then, in spite of SQLite's wait.
func openDatabase(ctx context.Context, cfg Config, busy time.Duration, locked bool) (*database, error) {
	file, err := look(cfg.Path)
	if err != nil {
		return nil, err
	}
	if file == nil {
		if err := begin(cfg, locked); err != nil {
			return nil, err
		}
		return openDatabase(ctx, cfg, busy, locked)
	}
	d := &database{file: file, busy: busy}
	err = d.open(ctx, cfg, locked)
	if locked && isCode(err, codeShmMap) {
		if err = abandonWAL(ctx, cfg, busy); err == nil {
			err = d.open(ctx, cfg, locked)
		}
	}
	return d, err
}

// begin makes an empty file, which is an empty database to SQLite, or adopts the whole one that an earlier version has left. Side
// files without their database belong to the one that was set aside last, or to none: SQLite would take them for the new one's.
func begin(cfg Config, locked bool) (err error) {
	path, aside := cfg.Path, exists(cfg.Path+damagedSuffix)
	switch {
	case cfg.Existing && !aside:
		return ErrNone
	case !locked:
		return errBeingMade
	case aside:
		err = move(path, path+damagedSuffix, sideSuffixes()...)
	default:
		err = Remove(path, sideSuffixes()...)
	}
	switch {
	case err != nil:
	case !aside && exists(path+newSuffix):
		err = errors.Join(os.Rename(path+newSuffix, path), syncDirectory(filepath.Dir(path)))
	default:
		err = createFile(path)
		cfg.Point("created")
	}
	return err
}

var errBeingMade = fmt.Errorf("the database is being made: %w", ErrLocked)

// abandonWAL switches the database to a rollback journal: some file systems cannot map a file shared (FUSE with direct_io, some network
// homes). The file itself remembers that. A connection that locks out all others keeps the WAL's index to itself, and so needs no
// shared memory.
func abandonWAL(ctx context.Context, cfg Config, busy time.Duration) error {
	db, err := connectTo(cfg.Path, busy, url.Values{"mode": {"rw"}, "_pragma": {"locking_mode(EXCLUSIVE)"}})
	if err == nil {
		_, err = db.ExecContext(ctx, "PRAGMA journal_mode = DELETE")
		cfg.Point("wal-abandoned")
		err = errors.Join(err, db.Close())
	}
	return err
}

// open connects to the database and brings an empty or an older one to the known version. Only the lock makes sure that no other
// process does the same.
func (d *database) open(ctx context.Context, cfg Config, locked bool) (err error) {
	if d.DB, err = connect(cfg.Path, d.busy); err != nil {
		return err
	}
	found, err := readProgress(ctx, d, cfg.Schemas)
	switch {
	case err != nil:
	case found.isComplete:
		if locked && exists(cfg.Path+damagedSuffix) { // its maker died after it had carried all over
			err = keepCopy(cfg.Path)
		}
	case !locked:
		err = errBeingMade
	case found.isNew:
		if err = d.fill(ctx, cfg); err == nil {
			return d.open(ctx, cfg, locked)
		}
	default:
		err = inTransaction(ctx, d.DB, func(tx *sql.Tx) error {
			defer cfg.Point("migrating")
			return migrate(ctx, tx, cfg.Schemas)
		})
		cfg.Point("migrated")
	}
	switch {
	case err != nil:
	case !exists(cfg.Path + walSuffix): // a commit without a WAL has to sync itself, Sync cannot
		d.isNew = false
		_, err = d.ExecContext(ctx, "PRAGMA synchronous = FULL")
	case d.isNew:
		_, err = d.ExecContext(ctx, "PRAGMA synchronous = OFF")
	}
	if err != nil {
		d.Close()
	}
	return err
}

// fill makes the tables in an empty database, carries over the rows of the one that was set aside, and closes it. SQLite syncs nothing
// meanwhile: until the transaction commits the database is empty to everyone; closing it moves all into the file, which is synced
// once. A process that dies in here leaves an empty database again.
func (d *database) fill(ctx context.Context, cfg Config) error {
	setUp := "PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;" // kB, for what is carried over
	if !exists(cfg.Path + walSuffix) {                               // else a process has died, and others may read
		setUp += `PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; PRAGMA auto_vacuum = incremental;
			PRAGMA journal_mode = WAL`
	}
	if _, err := d.ExecContext(ctx, setUp); err != nil {
		return err
	}
	cfg.Point("initialized")
	aside := exists(cfg.Path + damagedSuffix)
	err := inTransaction(ctx, d.DB, func(tx *sql.Tx) error {
		defer cfg.Point("filling")
		if err := migrate(ctx, tx, cfg.Schemas); err != nil || !aside {
			return err
		}
		return carryOver(ctx, tx, cfg.Path, d.busy)
	})
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	cfg.Point("filled")
	if _, err = SyncFile(cfg.Path); err == nil && aside {
		err = keepCopy(cfg.Path)
	}
	cfg.Point("synced")
	d.isNew = true
	return err
}
