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
	// Existing forbids to create anything. Without a database, or with another one in the place of the one that was open, the work
	// ends with ErrNone.
	Existing bool
	// LockWait bounds the wait for the write lock; afterwards SQLite's own locking decides. Zero means five seconds.
	LockWait time.Duration
	// BusyWait bounds SQLite's own wait for the database. Zero means one second.
	BusyWait time.Duration
	// Point, for testing, is called at the named points of the work, where a test stops or kills the process.
	Point func(name string)
}

// database is one that is open, complete and at the path.
type database struct {
	*sql.DB
	file os.FileInfo   // what is open
	busy time.Duration // SQLite's own wait
	// begun here: nothing is synced by SQLite, and the names of its files are not synced yet. See settle.
	begun bool
}

// openDatabase opens the database, begins it or migrates it, whichever is needed. Without the lock (alone) it only opens one that
// needs nothing: a first run of many processes at once would fail now and then, in spite of the wait.
func openDatabase(ctx context.Context, cfg Config, busy time.Duration, alone bool) (*database, error) {
	file, err := look(cfg.Path)
	if err != nil {
		return nil, err
	}
	if file == nil {
		if err := begin(cfg, alone); err != nil {
			return nil, err
		}
		if file, err = look(cfg.Path); err != nil {
			return nil, err
		}
	}
	db, found, err := connectAndRead(ctx, cfg, busy, alone, "NORMAL")
	if err != nil {
		return nil, err
	}
	d := &database{DB: db, file: file, busy: busy}
	if found != complete(cfg.Schemas) || exists(cfg.Path+damagedSuffix) {
		err = d.finish(ctx, cfg, found, alone)
	}
	if err == nil {
		err = d.keepPromiseWithoutWAL(ctx, cfg.Path)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// begin makes an empty file, where SQLite sees an empty database, or adopts the whole one that an earlier version has left. Side
// files that are here without their database belong to the one that was set aside last, or to nobody: SQLite would take them for
// the new one's.
func begin(cfg Config, alone bool) error {
	switch {
	case cfg.Existing:
		return ErrNone
	case !alone:
		return fmt.Errorf("the database is being made: %w", ErrLocked)
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
	err := errors.Join(removeUnfinished(path), createFile(path))
	cfg.Point("created")
	return err
}

// connectAndRead connects to a database and reads its head. Where a file cannot be mapped shared, it is turned to what needs no
// shared memory first.
func connectAndRead(ctx context.Context, cfg Config, busy time.Duration, alone bool, synchronous string) (db *sql.DB, found head, err error) {
	for again := alone; ; again = false {
		if db, err = connect(cfg.Path, busy, synchronous); err != nil {
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

// finish makes a database complete that is empty or of an earlier version. Only with the lock is it certain that nobody else is at
// it.
func (d *database) finish(ctx context.Context, cfg Config, found head, alone bool) error {
	if _, err := accept(ctx, d, found, cfg.Schemas); err != nil {
		return err
	}
	switch whole := found == complete(cfg.Schemas); {
	case !alone && !whole:
		return fmt.Errorf("the database is being made: %w", ErrLocked)
	case !alone:
		return nil
	case found == head{}:
		return d.fill(ctx, cfg)
	case !whole:
		err := inTransaction(ctx, d.DB, func(tx *sql.Tx) error {
			defer cfg.Point("migrating")
			return migrate(ctx, tx, cfg.Schemas)
		})
		if err != nil {
			return err
		}
		cfg.Point("migrated")
	}
	if exists(cfg.Path + damagedSuffix) { // its maker died when all was carried over
		return keepCopy(cfg.Path)
	}
	return nil
}

func inTransaction(ctx context.Context, db *sql.DB, fn func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing to do after a commit
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// fill makes the tables in an empty database, and carries over what was set aside. SQLite syncs nothing meanwhile: until the
// transaction is there the database is empty for everybody, and then it is closed, which moves all into the file, and synced once.
// What a process has left that died in here is an empty database again.
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
		return prepareCarried(ctx, tx, cfg.Schemas, found)
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
	d.DB, _, err = connectAndRead(ctx, cfg, d.busy, true, "OFF")
	d.begun = true
	return err
}

// settle is called after the first transaction in a database that was begun here, with the lock held. SQLite would sync the
// beginning of its WAL and the directory apart; here the directory is synced, and all of the WAL by Leave.
func (d *database) settle(ctx context.Context, path string) error {
	_, err := d.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL")
	d.begun = err != nil
	return errors.Join(err, syncDirectory(filepath.Dir(path)))
}

// keepPromiseWithoutWAL makes a commit without a WAL as durable as one that Leave has synced.
func (d *database) keepPromiseWithoutWAL(ctx context.Context, path string) error {
	if exists(path + walSuffix) {
		return nil
	}
	d.begun = false
	_, err := d.ExecContext(ctx, "PRAGMA synchronous = FULL")
	return err
}

// abandonWAL turns the database to a rollback journal, which needs no shared memory: there are file systems that cannot map a file
// shared (FUSE with direct_io, some network homes). The file itself remembers that. A connection that is alone with the database
// keeps the WAL's index to itself.
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

// wait sets SQLite's own wait.
func (d *database) wait(ctx context.Context, busy time.Duration) error {
	if d.busy == busy {
		return nil
	}
	_, err := d.ExecContext(ctx, "PRAGMA busy_timeout = "+milliseconds(busy))
	d.busy = busy
	return err
}

// isCurrent tells whether the open database is still the one at the path: another process may have set aside a damaged one, or a
// person removed it, and what is written to such a file is never seen again.
func (d *database) isCurrent(path string) bool {
	file, err := os.Stat(path)
	return err == nil && os.SameFile(file, d.file)
}

// checkpoint moves the WAL into the database, truncates it, and tells whether that was done.
func (d *database) checkpoint(ctx context.Context) bool {
	var busy, frames, moved int
	err := d.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	return err == nil && busy == 0
}
