package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Config says where an Outbox lives and how long it may wait.
type Config struct {
	// Path is the absolute path of the database. Its two side files lie beside it.
	Path string
	// Now is the clock.
	Now func() time.Time
	// LockWait bounds the wait for the write lock while nobody gets on; afterwards SQLite's own
	// locking decides. Zero means three seconds: in a burst of 200 processes on two busy cores
	// the holder may not get a core for longer than one. While the lock changes hands, the wait
	// goes on, up to five times as long.
	LockWait time.Duration
	// BusyWait bounds SQLite's own wait for the database. Zero means five seconds.
	BusyWait time.Duration
	// Point, for testing, is called at the named points of the package's work, where a test
	// stops or kills the process; by two goroutines at once while a request is under way. Nil in
	// production.
	Point func(name string)
}

// Outbox is the queue in one database file. It belongs to one goroutine at a time; any number
// of processes may have the same file open.
type Outbox struct {
	cfg    Config
	db     *sql.DB
	ready  bool        // db is of the version that this binary knows
	file   os.FileInfo // of the open database
	locked bool        // within WithLock
	lock   *fileLock   // within WithLock, if it was had
	stuck  bool        // the lock's holder did not get on when it was waited for last
	wrote  bool
}

// New returns the outbox at cfg.Path. It touches nothing: the file is opened, and if need be
// created, by the first transaction.
func New(cfg Config) *Outbox {
	if cfg.LockWait == 0 {
		cfg.LockWait = 3 * time.Second
	}
	if cfg.BusyWait == 0 {
		cfg.BusyWait = 5 * time.Second
	}
	if cfg.Point == nil {
		cfg.Point = func(string) {}
	}
	return &Outbox{cfg: cfg}
}

// Path returns the database's path.
func (o *Outbox) Path() string { return o.cfg.Path }

// WithLock runs fn with the write lock held, so that what fn does outside the database (an
// exported file) is as exclusive as what it does inside. Transactions within fn do not take
// the lock again. When the lock cannot be had in time fn runs all the same: SQLite's own
// locking still guards the database.
func (o *Outbox) WithLock(ctx context.Context, fn func() error) error {
	if o.locked {
		return fn()
	}
	if o.db == nil {
		o.openEarly(ctx)
	}
	lock, err := o.writeLock()
	if err != nil && !errors.Is(err, errLocked) {
		return fmt.Errorf("lock outbox: %w", err)
	}
	if err == nil {
		defer lock.release()
	}
	o.locked, o.lock = true, lock
	defer func() { o.locked, o.lock = false, nil }()
	return fn()
}

// writeLock creates the directory (0700) when it is missing; an existing one stays as it is. A
// holder that was waited for in vain is not waited for again: a flusher has ten seconds for many
// transactions, and would not come to settle what it has sent.
func (o *Outbox) writeLock() (*fileLock, error) {
	path := o.cfg.Path + ".lock"
	p := patience{idle: o.cfg.LockWait, most: 5 * o.cfg.LockWait}
	if o.stuck {
		p = patience{}
	}
	lock, err := acquire(path, p)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		lock, err = acquire(path, p)
	}
	o.stuck = errors.Is(err, errLocked)
	return lock, err
}

// InTx runs fn in one immediate transaction under the write lock and commits it when fn
// returns nil. A corrupt database is replaced and fn is run again on its replacement, so fn
// must not keep what an earlier run of it produced.
func (o *Outbox) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return o.WithLock(ctx, func() error {
		return o.mending(ctx, func() error { return o.inTx(ctx, fn) })
	})
}

// mending runs fn, and once more on the replacement when it meets a damaged database. Called
// within WithLock.
func (o *Outbox) mending(ctx context.Context, fn func() error) error {
	err := fn()
	if err == nil || o.lock == nil || !o.isDamaged(ctx, err) {
		return err
	}
	if err := o.replaceCorrupt(ctx); err != nil {
		return fmt.Errorf("replace corrupt outbox: %w", err)
	}
	return fn()
}

func (o *Outbox) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	if err := o.open(ctx); err != nil {
		return fmt.Errorf("open outbox: %w", err)
	}
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // nothing to do after a commit
	if err := fn(tx); err != nil {
		return err
	}
	o.cfg.Point("before-commit")
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	o.wrote = true
	o.cfg.Point("after-commit")
	return nil
}

// walLimit is the size, in bytes, over which a leaving process closes properly, which moves
// the WAL into the database.
const walLimit = 1 << 20

// Leave makes what was committed durable with one sync and keeps the database open: the last
// close of a database checkpoints it, which costs three to four more syncs, and the process is
// about to end. Call it without the write lock, so that nobody waits for the disk.
func (o *Outbox) Leave() error {
	if !o.wrote {
		return nil
	}
	o.wrote = false
	size, err := syncFile(o.cfg.Path + "-wal")
	if errors.Is(err, fs.ErrNotExist) { // beside the target, when the database is a link
		target, linkErr := filepath.EvalSymlinks(o.cfg.Path)
		if linkErr != nil {
			return linkErr
		}
		size, err = syncFile(target + "-wal")
	}
	if errors.Is(err, fs.ErrNotExist) { // another process has closed, and so checkpointed
		return nil
	}
	if err == nil && size > walLimit {
		return o.Close()
	}
	return err
}

// syncFile must not be used on the database itself: closing it here would drop the locks that
// SQLite holds on it for the whole process. The WAL carries no locks.
func syncFile(path string) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), f.Sync()
}

// Close closes the database. The last process to close it checkpoints the WAL.
func (o *Outbox) Close() error {
	if o.db == nil {
		return nil
	}
	err := o.db.Close()
	o.db, o.ready = nil, false
	return err
}
