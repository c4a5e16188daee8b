// Package store keeps tables in one SQLite file that survives: kills, power cuts, crowds of
// processes, damage, a full disk. It knows no table but those that the migrations make.
package store

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

// Config says where a Store lives and how long it may wait.
type Config struct {
	// Path is the absolute path of the database. Its side files lie beside it.
	Path string
	// Schemas are the tables: at most two sets.
	Schemas []Schema
	// Existing forbids to create anything. Without a database, or with another one in the place of
	// the one that was open, the work ends with ErrNone.
	Existing bool
	// LockWait bounds the wait for the write lock; afterwards SQLite's own locking decides. Zero
	// means five seconds.
	LockWait time.Duration
	// BusyWait bounds SQLite's own wait for the database. Zero means five seconds.
	BusyWait time.Duration
	Now      func() time.Time // the clock
	// Point, for testing, is called at the named points of the work, where a test stops or kills
	// the process.
	Point func(name string)
}

// Store is a database file that is opened when it is first needed. It belongs to one goroutine at a
// time; any number of processes may have the same file open.
type Store struct {
	cfg      Config
	db       *sql.DB
	ready    bool        // db is of the version that this program knows
	file     os.FileInfo // of the database that was opened last
	locked   bool        // within Locked
	lock     *FileLock   // within Locked, if it was had
	waited   bool        // the lock's holder was waited for in vain
	checked  bool        // a caller's error made it look for damage
	wrote    bool        // since the last Leave
	placed   bool        // the database is new, and the names of its files are not synced yet
	reserved bool        // see Reserve
}

// New returns the store at cfg.Path. It touches nothing: the file is opened, and if need be
// created, by the first transaction.
func New(cfg Config) *Store {
	if cfg.LockWait == 0 {
		cfg.LockWait = 5 * time.Second
	}
	if cfg.BusyWait == 0 {
		cfg.BusyWait = 5 * time.Second
	}
	return &Store{cfg: cfg}
}

// Path returns the database's path.
func (s *Store) Path() string { return s.cfg.Path }

// Locked runs fn with the write lock held, so that what fn does outside the database (an exported
// file) is as exclusive as what it does inside. Transactions within fn do not take the lock again.
// When the lock cannot be had in time fn runs all the same: SQLite's own locking still guards the
// database. When ctx ends while the lock is waited for, its error is returned.
func (s *Store) Locked(ctx context.Context, fn func() error) error {
	if s.locked {
		return fn()
	}
	if s.cfg.Existing && !s.exists() {
		return ErrNone
	}
	if s.db == nil {
		s.openEarly(ctx)
	}
	lock, err := s.writeLock(ctx)
	if err != nil && !errors.Is(err, ErrLocked) {
		return err
	}
	if err == nil {
		defer lock.Release()
	}
	s.locked, s.lock = true, lock
	defer func() { s.locked, s.lock = false, nil }()
	return fn()
}

// exists tells whether there is a database, or its complete replacement.
func (s *Store) exists() bool {
	_, err := os.Lstat(s.cfg.Path)
	return err == nil || s.isHalfReplaced()
}

// writeLock creates the directory (0700) when it is missing; an existing one stays as it is. A
// holder that was waited for in vain is not waited for again: who has ten seconds for many
// transactions would not come to the last of them.
func (s *Store) writeLock(ctx context.Context) (lock *FileLock, err error) {
	path, wait := s.cfg.Path+lockSuffix, s.cfg.LockWait
	if s.waited {
		wait = 0
	}
	if s.cfg.Existing {
		lock, err = LockExisting(ctx, path, wait)
		if errors.Is(err, fs.ErrNotExist) { // nothing may be made: SQLite's own locking has to do
			return nil, ErrLocked
		}
	} else {
		lock, err = Lock(ctx, path, wait)
		if errors.Is(err, fs.ErrNotExist) {
			if err := makeDirectory(filepath.Dir(path)); err != nil {
				return nil, s.explain("create the directory", err)
			}
			lock, err = Lock(ctx, path, wait)
		}
	}
	if errors.Is(err, errors.ErrUnsupported) { // a file system without such locks
		err = ErrLocked
	}
	s.waited = errors.Is(err, ErrLocked)
	if err != nil && !s.waited {
		return nil, s.explain("lock the database", err)
	}
	return lock, err
}

// Write runs fn in one immediate transaction under the write lock and commits it when fn returns
// nil. The database is created, migrated or, when it is damaged, replaced as needed. After a
// replacement, and after a full disk has been given some room, fn is run again, so it must not keep
// what an earlier run of it produced. Its errors come back unchanged.
func (s *Store) Write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return s.Locked(ctx, func() error {
		return s.mending(ctx, func() error {
			err := s.write(ctx, fn)
			if s.causeOf(err) == ErrFull && s.makeRoom(ctx) {
				err = s.write(ctx, fn)
			}
			return err
		})
	})
}

// mending runs fn, and once more on the replacement when it meets damage. Called within Locked.
func (s *Store) mending(ctx context.Context, fn func() error) error {
	err := fn()
	if err == nil || s.lock == nil || !s.isDamaged(ctx, err) {
		return err
	}
	if err := s.replace(ctx); err != nil {
		return s.explain("replace the damaged database", err)
	}
	return fn()
}

func (s *Store) write(ctx context.Context, fn func(tx *sql.Tx) error) error {
	if err := s.open(ctx); err != nil {
		return s.explain("open the database", err)
	}
	if s.placed {
		defer s.syncNames(ctx)()
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.explain("begin", err)
	}
	defer tx.Rollback() // nothing to do after a commit
	if err := fn(tx); err != nil {
		return err
	}
	s.cfg.Point("before-commit")
	if err := tx.Commit(); err != nil {
		return s.explain("commit", err)
	}
	s.wrote = true
	s.cfg.Point("after-commit")
	return nil
}

// syncNames is for the first transaction in a new database. SQLite would sync the beginning of its WAL
// and the directory apart; here the directory is synced by what is returned, while nobody else has the
// lock, and all of the WAL by Leave.
func (s *Store) syncNames(ctx context.Context) (after func()) {
	if _, err := s.db.ExecContext(ctx, "PRAGMA synchronous = OFF"); err != nil {
		return func() {}
	}
	return func() {
		if _, err := s.db.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL"); err != nil {
			s.Close() // the next connection is a usual one
		}
		s.placed = syncDirectory(filepath.Dir(s.cfg.Path)) != nil
	}
}

// View runs fn in a transaction that cannot write, without the write lock: looking changes nothing,
// waits for nobody and works on a read-only disk. It returns ErrNone when there is no database, and
// ErrOlder, which is an ErrNone too, when the next Write will have to migrate it first.
func (s *Store) View(ctx context.Context, fn func(tx *sql.Tx) error) error {
	if _, err := os.Stat(s.cfg.Path); errors.Is(err, fs.ErrNotExist) {
		return ErrNone
	}
	var caller error
	look := func(tx *sql.Tx) error { caller = fn(tx); return caller }
	err := s.view(ctx, false, look)
	// Neither on a read-only disk nor where files cannot be mapped is there shared memory.
	if caller == nil && (isCode(err, codeCantOpen) || isCode(err, codeReadOnly) || isUnmappable(err)) {
		err = s.view(ctx, true, look)
	}
	if isDamage(caller) {
		return s.explain("read the database", caller)
	}
	if caller != nil {
		return caller
	}
	return s.explain("open the database", err)
}

func (s *Store) view(ctx context.Context, immutable bool, fn func(tx *sql.Tx) error) error {
	db, err := connectTo(viewDSN(s.cfg.Path, s.cfg.BusyWait, immutable))
	if err != nil {
		return err
	}
	defer db.Close()
	found, err := readHead(ctx, db)
	if err != nil {
		return err
	}
	if err := s.viewable(ctx, db, found); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return fn(tx)
}

// walLimit is the size, in bytes, over which a leaving process closes properly, which moves the WAL
// into the database.
const walLimit = 1 << 20

// Leave makes what was committed durable with one sync and keeps the database open: the last close
// of a database checkpoints it, which costs three to four more syncs, and the process is about to
// end. Call it without the write lock, so that nobody waits for the disk.
func (s *Store) Leave() error {
	s.giveUpRoom()
	if !s.wrote {
		return nil
	}
	s.wrote = false
	size, err := s.syncWAL()
	if errors.Is(err, fs.ErrNotExist) { // without a WAL a commit ends with the removal of its journal
		err = syncDirectory(filepath.Dir(s.cfg.Path))
	}
	if err == nil && s.db != nil {
		s.keepSmall(context.Background(), size)
	}
	if err == nil && size > walLimit {
		err = s.Close()
	}
	return s.explain("sync the database", err)
}

// WALSize returns the size of the WAL in bytes, 0 without one.
func (s *Store) WALSize() int64 { return s.Stamp()[2] }

// Version tells two states of the database apart. The zero value is none's.
type Version struct {
	db   *sql.DB // the numbers of two connections have nothing to do with each other
	data int64
}

// Version changes when another process commits, and not with what this store commits. It reads
// without the write lock.
func (s *Store) Version(ctx context.Context) (v Version, err error) {
	if s.db == nil {
		return v, ErrNone
	}
	err = s.db.QueryRowContext(ctx, "PRAGMA data_version").Scan(&v.data)
	v.db = s.db
	return v, err
}

// VersionIn is Version within a transaction.
func (s *Store) VersionIn(ctx context.Context, tx *sql.Tx) (v Version, err error) {
	err = tx.QueryRowContext(ctx, "PRAGMA data_version").Scan(&v.data)
	v.db = s.db
	return v, err
}

// Stamp changes when the database does, unless it does so again within a tick of the file system's
// clock.
func (s *Store) Stamp() (stamp [4]int64) {
	for i, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(s.cfg.Path + suffix); err == nil {
			stamp[2*i], stamp[2*i+1] = info.Size(), info.ModTime().UnixNano()
		}
	}
	return stamp
}

func (s *Store) syncWAL() (size int64, err error) {
	size, err = syncFile(s.cfg.Path + "-wal")
	if !errors.Is(err, fs.ErrNotExist) {
		return size, err
	}
	target, linkErr := filepath.EvalSymlinks(s.cfg.Path) // it lies beside the target of a link
	if linkErr != nil || target == s.cfg.Path {
		return size, err
	}
	return syncFile(target + "-wal")
}

// syncFile must not be used on an open database: closing it here would drop the locks that SQLite
// holds on it for the whole process. The WAL carries no locks.
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
func (s *Store) Close() error {
	s.giveUpRoom() // what stays is taken up by the next Reserve
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db, s.ready = nil, false
	return s.explain("close the database", err)
}

// explain says what was being done, and makes the cause known to errors.Is. A context's end and
// what has a name of ours stay as they are.
func (s *Store) explain(doing string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var known *causedError
	if errors.As(err, &known) || errors.Is(err, ErrNone) || errors.Is(err, ErrNewer) || errors.Is(err, ErrForeign) {
		return err
	}
	return &causedError{doing: doing, err: err, cause: s.causeOf(err)}
}

var errTooMany = fmt.Errorf("at most %d schemas of at most %d migrations fit one database", maxSchemas, schemaBase-1)
