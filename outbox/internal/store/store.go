// Package store keeps tables in one SQLite file that survives kills, power cuts, crowds of processes, damage and a full disk. It
// knows only the tables that the migrations make.
//
// Its files, each of which needs only those before it: errors; the system; files; lock; cause (an error in words); schema; connect;
// damage (set aside, carry over); open (begin, fill, migrate); store; space.
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

// Store is a database file that is opened when it is first needed. Any number of goroutines may use it, one at a time; any number
// of processes may have the same file open.
type Store struct {
	cfg      Config
	turn     turn
	db       *database   // nil: not open
	last     os.FileInfo // what was open last
	locked   bool        // this process holds the write lock
	inChange bool        // the function of a Write runs
	vain     bool        // the lock was waited for in vain
	unsynced bool        // something was committed since the last Sync
	unnamed  bool        // the directory may not have the WAL's name yet
}

// New returns the store at cfg.Path. It touches nothing: the file is opened, and if need be created, by the first transaction.
func New(cfg Config) *Store {
	if cfg.LockWait == 0 {
		cfg.LockWait = 5 * time.Second
	}
	if cfg.BusyWait == 0 {
		cfg.BusyWait = time.Second
	}
	return &Store{cfg: cfg, turn: turn{taken: make(chan struct{}, 1)}}
}

func (s *Store) lockPath() string { return s.cfg.Path + lockSuffix }

// Locked runs fn with the write lock held, so that what fn does outside the database, such as exporting a file, is as exclusive as
// its transactions. Those do not take the lock again. When the lock cannot be had in time fn runs all the same: SQLite's own locking
// still guards a database that is complete. When ctx ends while the lock is waited for, its error is returned.
func (s *Store) Locked(ctx context.Context, fn func() error) (err error) {
	end, nested, err := s.turn.take(ctx)
	if err != nil {
		return err
	}
	defer end()
	if nested {
		return fn()
	}
	if s.db == nil {
		if err := checkDescriptors(openDescriptors); err != nil {
			return err
		}
	}
	lock, err := s.lock(ctx)
	if err != nil && !errors.Is(err, ErrLocked) {
		return explain(s.cfg.Path, "lock the database", err)
	}
	if s.locked = lock != nil; s.locked {
		defer lock.Release()
	}
	defer func() {
		if !s.locked || errors.Is(err, ErrLocked) {
			noteVain(s.lockPath())
		}
		s.locked = false
	}()
	return fn()
}

// lock takes the write lock. A process waits for it in vain only once: a flusher, which has ten seconds for many transactions, would
// not come to the last of them.
func (s *Store) lock(ctx context.Context) (*FileLock, error) {
	if lacks(s.lockPath()) {
		if err := s.makeLockFile(); err != nil {
			return nil, err
		}
	}
	rest := s.cfg.LockWait / 5
	wait, began := s.cfg.LockWait-rest, time.Now()
	switch {
	case s.vain:
		wait, rest = 0, 0
	case wasVain(s.lockPath(), s.cfg.Path):
		wait, rest = min(s.cfg.LockWait, shortWait), 0
	}
	lock, err := Lock(ctx, s.lockPath(), wait)
	if errors.Is(err, ErrLocked) && rest > 0 {
		// While others commit, one wait more: without the lock a crowd only gets slower. It is asked before they give up: they
		// commit without the lock then, which is no sign that its holder moves on.
		if writtenAfter(s.cfg.Path, began) {
			rest += s.cfg.LockWait
		}
		lock, err = Lock(ctx, s.lockPath(), rest)
	}
	if errors.Is(err, errors.ErrUnsupported) { // the file system has no locks, so no process has any
		return &FileLock{}, nil
	}
	s.vain = errors.Is(err, ErrLocked)
	return lock, err
}

// makeLockFile makes the directory (0700) as well when it is missing; an existing one stays as it is.
func (s *Store) makeLockFile() error {
	if s.cfg.Existing {
		if file, _ := look(s.cfg.Path); file == nil {
			return ErrNone
		}
		return ErrLocked // SQLite's own locking has to do
	}
	if _, err := ground(s.cfg.Path); err != nil {
		return err
	}
	if err := makeDirectory(filepath.Dir(s.cfg.Path)); err != nil {
		return err
	}
	return CreateFile(s.lockPath())
}

// Write runs change in one immediate transaction under the write lock and commits it when change returns nil; committed, if it is
// not nil, runs after the commit with the lock still held. The database is created, migrated or, when it is damaged, set aside and
// begun again as needed.
//
// An error of the file is met twice before it is believed, so change runs up to three times: it must not keep what an earlier run
// of it produced. Its own errors come back unchanged, after one run. Another Write within change is ErrNested: the second
// transaction would wait for the first.
func (s *Store) Write(ctx context.Context, change func(tx *sql.Tx) error, committed func()) error {
	return s.Locked(ctx, func() error {
		if s.inChange {
			return ErrNested
		}
		err := s.use(ctx, "write to the database", func(db *database) error { return s.transact(ctx, db, change) })
		if err == nil && committed != nil {
			committed()
		}
		return err
	})
}

func (s *Store) transact(ctx context.Context, db *database, change func(tx *sql.Tx) error) error {
	err := inTransaction(ctx, db.DB, func(tx *sql.Tx) error {
		s.inChange = true
		defer func() { s.inChange = false }()
		if err := change(tx); err != nil {
			return fromCaller(err)
		}
		s.cfg.Point("before-commit")
		return nil
	})
	if err == nil {
		if db.isNew {
			_, _ = db.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL") // what is committed stays committed
			db.isNew, s.unnamed = false, true
		}
		s.unsynced = true
		s.cfg.Point("after-commit")
	}
	return err
}

// use runs fn on the open database, and again where that may help: with the room that the WAL gives back, or on a fresh connection.
// If SQLite then still calls the file damaged, also after a look at all of it, that is set aside, and fn runs on a new one. Called
// within Locked.
func (s *Store) use(ctx context.Context, doing string, fn func(db *database) error) error {
	err := s.openAnd(ctx, fn)
	switch {
	case isFull(err):
		if s.db != nil && s.db.checkpoint(ctx) {
			err = s.openAnd(ctx, fn)
		}
	case isOfTheFile(err):
		s.drop()
		err = s.openAnd(ctx, fn)
	}
	if isDamage(err) && s.locked {
		s.drop()
		if isUnsound(ctx, s.cfg.Path, s.cfg.BusyWait) {
			if err = s.beginAgain(ctx); err == nil {
				err = fn(s.db)
			}
		}
	}
	return s.explain(doing, err)
}

func (s *Store) openAnd(ctx context.Context, fn func(db *database) error) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	return fn(s.db)
}

// open opens the database at the path, unless it is open.
func (s *Store) open(ctx context.Context) error {
	if s.db != nil && s.db.isCurrent(s.cfg.Path) {
		return nil
	}
	s.drop()
	busy := s.cfg.BusyWait
	if s.locked && wasVain(s.lockPath(), s.cfg.Path) { // without our lock, a crowd meets only at SQLite's
		busy = min(busy, shortWait)
	}
	db, err := openDatabase(ctx, s.cfg, busy, s.locked)
	if _, system := errors.AsType[*fs.PathError](err); system { // met twice as well
		db, err = openDatabase(ctx, s.cfg, busy, s.locked)
	}
	if err != nil {
		return err
	}
	if s.cfg.Existing && s.last != nil && !os.SameFile(s.last, db.file) {
		db.Close()
		return fmt.Errorf("the database was removed or replaced: %w", ErrNone)
	}
	s.db, s.last = db, db.file
	return nil
}

// beginAgain sets the damaged database aside and makes a new one. It does not end with ctx: the replacement of a full queue takes
// seconds, and the next command would have to start it anew.
func (s *Store) beginAgain(ctx context.Context) error {
	if err := setAside(s.cfg.Path); err != nil {
		return err
	}
	s.cfg.Point("set-aside")
	cfg := s.cfg
	cfg.Existing = false
	db, err := openDatabase(context.WithoutCancel(ctx), cfg, cfg.BusyWait, true)
	if err != nil {
		return err
	}
	s.db, s.last = db, db.file
	return nil
}

// drop closes a connection that is given up; its error no longer matters.
func (s *Store) drop() {
	if s.db != nil {
		s.db.Close()
		s.db = nil
	}
}

// explain is explain, with the connection closed because the system may have to be asked. View, too, waits its turn for that.
func (s *Store) explain(doing string, err error) error {
	if _, own := err.(callerError); !own && Cause(err) != nil {
		end, _, _ := s.turn.take(context.Background())
		defer end()
		s.drop()
	}
	return explain(s.cfg.Path, doing, err)
}

// View runs read in a transaction that cannot write, without the write lock: it changes nothing, waits for no other process and
// works on a read-only disk. It returns ErrNone when there is no database, and ErrOlder, which is an ErrNone too, when the next Write
// has to migrate it first. Like Write's, the function runs up to three times.
func (s *Store) View(ctx context.Context, read func(tx *sql.Tx) error) error {
	const doing = "look at the database"
	if err := checkDescriptors(openDescriptors); err != nil {
		return err
	}
	file, err := look(s.cfg.Path)
	if err == nil && file == nil {
		return ErrNone
	}
	if err == nil {
		err = s.view(ctx, false, read)
	}
	if isOfTheFile(err) {
		err = s.view(ctx, false, read)
	}
	explained := s.explain(doing, err)
	// Shared memory is missing on a read-only disk and where files cannot be mapped.
	if isCode(err, codeShmMap) || isOfTheFile(err) && (errors.Is(explained, ErrReadOnly) || errors.Is(explained, ErrPermission)) {
		if err := s.view(ctx, true, read); !isOfTheFile(err) {
			return s.explain(doing, err)
		}
	}
	return explained
}

func (s *Store) view(ctx context.Context, immutable bool, read func(tx *sql.Tx) error) error {
	db, err := connectToRead(s.cfg.Path, s.cfg.BusyWait, immutable)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := viewable(ctx, db, s.cfg.Schemas); err != nil {
		return err
	}
	return inTransaction(ctx, db, func(tx *sql.Tx) error { return fromCaller(read(tx)) })
}

// walLimit is the size, in bytes, above which Sync closes the database, which moves the WAL into it.
const walLimit = 1 << 20

// Sync makes what was committed durable with one sync and keeps the database open for a process that is about to end: the last close
// of a database checkpoints it, which costs three to four more syncs. Call it without the write lock, so that no process waits for
// the disk.
func (s *Store) Sync() error {
	end, _, _ := s.turn.take(context.Background())
	defer end()
	if !s.unsynced {
		return nil
	}
	s.unsynced = false
	size, err := s.syncWAL()
	if errors.Is(err, fs.ErrNotExist) || err == nil && s.unnamed { // without a WAL a commit ends with the removal of its journal
		s.unnamed, err = false, syncDirectory(filepath.Dir(s.cfg.Path))
	}
	if err == nil && size > walLimit {
		err = s.Close()
	}
	return s.explain("sync the database", err)
}

func (s *Store) syncWAL() (size int64, err error) {
	size, err = SyncFile(s.cfg.Path + walSuffix)
	if errors.Is(err, fs.ErrNotExist) { // it may lie beside the target of a link
		if target, linkErr := filepath.EvalSymlinks(s.cfg.Path); linkErr == nil {
			return SyncFile(target + walSuffix)
		}
	}
	return size, err
}

// Close closes the database. The last process to close it moves the WAL into it.
func (s *Store) Close() error {
	end, _, _ := s.turn.take(context.Background())
	defer end()
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db = nil
	return s.explain("close the database", err)
}

// WALSize returns the size of the WAL in bytes, 0 without one.
func (s *Store) WALSize() int64 {
	info, err := os.Stat(s.cfg.Path + walSuffix)
	if err != nil {
		return 0
	}
	return info.Size()
}
