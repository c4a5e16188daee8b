package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

// checkpoint moves the WAL into the database, truncates it, and reports whether that was done.
func (d *database) checkpoint(ctx context.Context) bool {
	var busy, frames, moved int
	err := d.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	return err == nil && busy == 0
}

// openDatabase opens the database, and creates or migrates it first if need be. Without the lock it opens only one that is complete:
// many first commands at once would fail now and then, in spite of SQLite's wait.
func openDatabase(ctx context.Context, cfg Config, busy time.Duration, locked bool) (*database, error) {
	file, err := look(cfg.Path)
	if err == nil && file == nil {
		if err = begin(cfg, locked); err == nil {
			file, err = look(cfg.Path)
		}
	}
	if err != nil {
		return nil, err
	}
	db, found, err := connectAndRead(ctx, cfg, busy, locked)
	if err != nil {
		return nil, err
	}
	d := &database{DB: db, file: file, busy: busy}
	if found != complete(cfg.Schemas) || exists(cfg.Path+damagedSuffix) {
		err = d.finish(ctx, cfg, found, locked)
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
		return nil, err
	}
	return d, nil
}

// begin makes an empty file, which is an empty database to SQLite, or adopts the whole one that an earlier version has left. Side
// files without their database belong to the one that was set aside last, or to none: SQLite would take them for the new one's.
func begin(cfg Config, locked bool) error {
	switch {
	case cfg.Existing:
		return ErrNone
	case !locked:
		return errBeingMade
	}
	path, aside := cfg.Path, exists(cfg.Path+damagedSuffix)
	for _, suffix := range sideSuffixes() {
		if aside && !exists(path+damagedSuffix+suffix) {
			if err := move(path, path+damagedSuffix, suffix); err != nil {
				return err
			}
		}
	}
	if err := remove(path, sideSuffixes()...); err != nil {
		return err
	}
	if !aside && exists(path+newSuffix) {
		return errors.Join(os.Rename(path+newSuffix, path), syncDirectory(filepath.Dir(path)))
	}
	err := errors.Join(removeBeside(path, newSuffix, makingInfix), createFile(path))
	cfg.Point("created")
	return err
}

var errBeingMade = fmt.Errorf("the database is being made: %w", ErrLocked)

// connectAndRead connects to a database and reads its head. On a file system that cannot map files shared, the database is first
// turned to a journal that needs no shared memory.
func connectAndRead(ctx context.Context, cfg Config, busy time.Duration, locked bool) (db *sql.DB, found head, err error) {
	for again := locked; ; again = false {
		if db, err = connect(cfg.Path, busy); err != nil {
			return nil, found, err
		}
		if found, err = readHead(ctx, db); err == nil {
			return db, found, nil
		}
		db.Close()
		if !again || !isCode(err, codeShmMap) {
			return nil, found, err
		}
		if err = abandonWAL(ctx, cfg, busy); err != nil {
			return nil, found, err
		}
	}
}

// abandonWAL turns the database to a rollback journal: some file systems cannot map a file shared (FUSE with direct_io, some network
// homes). The file itself remembers that. A connection that is alone with the database keeps the WAL's index to itself.
func abandonWAL(ctx context.Context, cfg Config, busy time.Duration) error {
	db, err := connectAlone(ctx, cfg.Path, busy, "PRAGMA synchronous = FULL")
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
	cfg.Point("wal-abandoned")
	return db.Close()
}

// finish completes a database that is empty or of an earlier version. Only the lock makes sure that no other process does the same.
func (d *database) finish(ctx context.Context, cfg Config, found head, locked bool) error {
	if _, err := accept(ctx, d, found, cfg.Schemas); err != nil {
		return err
	}
	switch {
	case !locked && found != complete(cfg.Schemas):
		return errBeingMade
	case !locked:
		return nil
	case found == head{}:
		return d.fill(ctx, cfg)
	case found != complete(cfg.Schemas):
		err := inTransaction(ctx, d.DB, func(tx *sql.Tx) error {
			defer cfg.Point("migrating")
			return migrate(ctx, tx, cfg.Schemas)
		})
		if err != nil {
			return err
		}
		cfg.Point("migrated")
	}
	if exists(cfg.Path + damagedSuffix) { // its maker died after it had carried all over
		return keepCopy(cfg.Path)
	}
	return nil
}

// fill makes the tables in an empty database, and carries over the rows of the one that was set aside. SQLite syncs nothing
// meanwhile: until the transaction commits the database is empty to everyone; closing it moves all into the file, which is synced
// once. A process that dies in here leaves an empty database again.
func (d *database) fill(ctx context.Context, cfg Config) error {
	d.Close() // nothing was written
	aside := exists(cfg.Path + damagedSuffix)
	db, err := connectAlone(ctx, cfg.Path, d.busy, "PRAGMA synchronous = OFF", "PRAGMA journal_mode = MEMORY",
		"PRAGMA auto_vacuum = incremental", "PRAGMA journal_mode = WAL", "PRAGMA cache_size = -16000") // kB, for what is carried over
	if err != nil {
		return err
	}
	cfg.Point("initialized")
	err = inTransaction(ctx, db, func(tx *sql.Tx) error {
		defer cfg.Point("filling")
		if err := migrate(ctx, tx, cfg.Schemas); err != nil || !aside {
			return err
		}
		found, err := carryOver(ctx, tx, cfg.Path, d.busy)
		if err != nil {
			return err
		}
		return runMissed(ctx, tx, cfg.Schemas, found)
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	cfg.Point("filled")
	if _, err = SyncFile(cfg.Path); err != nil {
		return err
	}
	if aside {
		if err := keepCopy(cfg.Path); err != nil {
			return err
		}
	}
	cfg.Point("synced")
	filled, _, err := connectAndRead(ctx, cfg, d.busy, true)
	if err != nil {
		return err
	}
	d.DB, d.isNew = filled, true
	return nil
}
