// Package store keeps tables in one SQLite file that survives: kills, power cuts, crowds of processes, damage, a full disk. It
// knows no table but those that the migrations make.
//
// Its files, each of which needs only those before it: errors; the system; files; lock; cause (an error in words); schema; connect;
// damage (what is set aside, and carried over); open (begin, fill, migrate); store; space.
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

// Store is a database file that is opened when it is first needed. Any number of goroutines may use it,
// one at a time works on it; any number of processes may have the same file open.
type Store struct {
	cfg    Config
	turn   turn
	db     *database   // nil: not open
	last   os.FileInfo // what was open last
	within hold
	vain   bool // the lock was waited for in vain, so it is not waited for again
	wrote  bool // since the last Leave
	inside bool // the function of a Write
	// commits counts them.
	commits int64
}

// hold says how the store's work is guarded.
type hold int

const (
	unguarded hold = iota // outside of Locked
	withLock
	withoutLock // SQLite's own locking has to do: the lock could not be had
)

// New returns the store at cfg.Path. It touches nothing: the file is opened, and if need be created, by the first transaction.
func New(cfg Config) *Store {
	if cfg.LockWait == 0 {
		cfg.LockWait = 5 * time.Second
	}
	if cfg.BusyWait == 0 {
		cfg.BusyWait = time.Second
	}
	return &Store{cfg: cfg}
}

func (s *Store) lockPath() string { return s.cfg.Path + lockSuffix }

// Locked runs fn with the write lock held, so that what fn does outside the database (an exported file) is as exclusive as what it
// does inside. Transactions within fn do not take the lock again. When the lock cannot be had in time fn runs all the same:
// SQLite's own locking still guards a database that is complete. When ctx ends while the lock is waited for, its error is returned.
func (s *Store) Locked(ctx context.Context, fn func() error) (err error) {
	end, nested := s.turn.take()
	defer end()
	if nested {
		return fn()
	}
	if s.db == nil {
		if err := CheckDescriptors(); err != nil {
			return err
		}
	}
	lock, err := s.lock(ctx)
	if err != nil && !errors.Is(err, ErrLocked) {
		return explain(s.cfg.Path, "lock the database", err)
	}
	s.within = withoutLock
	if lock != nil {
		s.within = withLock
		defer lock.Release()
	}
	defer func() {
		if locked := errors.Is(err, ErrLocked); locked || s.within == withoutLock {
			noteVain(s.lockPath(), locked)
		}
		s.within = unguarded
	}()
	return fn()
}

// lock creates the directory (0700) when it is missing; an existing one stays as it is. A holder that was waited for in vain is not
// waited for again: a flusher that has ten seconds for many transactions would not come to the last of them.
func (s *Store) lock(ctx context.Context) (lock *FileLock, err error) {
	take := Lock
	if s.cfg.Existing {
		take = LockExisting
	}
	lock, err = take(ctx, s.lockPath(), 0)
	if errors.Is(err, fs.ErrNotExist) && s.cfg.Existing {
		if file, _ := look(s.cfg.Path); file == nil {
			return nil, ErrNone
		}
		return nil, ErrLocked // nothing may be made, SQLite's own locking has to do
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := ground(s.cfg.Path); err != nil {
			return nil, err
		}
		if err := makeDirectory(filepath.Dir(s.cfg.Path)); err != nil {
			return nil, err
		}
		lock, err = take(ctx, s.lockPath(), 0)
	}
	if errors.Is(err, ErrLocked) && !s.vain {
		wait := s.cfg.LockWait
		if wasVain(s.lockPath(), s.cfg.Path, false) {
			wait = min(wait, shortWait)
		}
		began := time.Now() // a crowd that moves is waited for once more: without the lock it would only get slower
		lock, err = lockInQueue(ctx, s.lockPath(), wait, func() bool {
			return wait == s.cfg.LockWait && writtenAfter(s.cfg.Path, began)
		})
	}
	if errors.Is(err, errors.ErrUnsupported) { // a file system without such locks: nobody has any
		return &FileLock{}, nil
	}
	s.vain = errors.Is(err, ErrLocked)
	return lock, err
}

// Write runs change in one immediate transaction under the write lock and commits it when change returns nil; committed, if it is
// not nil, runs after the commit with the lock still held. The database is created, migrated or, when it is damaged, set aside and
// begun again as needed.
//
// An error that is the file's is met twice before it is believed, so change is run up to three times: it must not keep
// what an earlier run of it produced. Its own errors come back unchanged, after one run. Within change
// another Write is ErrNested: the second transaction would wait for the first.
func (s *Store) Write(ctx context.Context, change func(tx *sql.Tx) error, committed func()) error {
	return s.Locked(ctx, func() error {
		if s.inside {
			return ErrNested
		}
		err := s.work(ctx, "write to the database", func(db *database) error { return s.transact(ctx, db, change) })
		if err == nil && committed != nil {
			committed()
		}
		return err
	})
}

func (s *Store) transact(ctx context.Context, db *database, change func(tx *sql.Tx) error) error {
	if db.begun {
		defer func() {
			if db.settle(ctx, s.cfg.Path) != nil {
				s.drop() // the next connection is a usual one
			}
		}()
	}
	err := inTransaction(ctx, db.DB, func(tx *sql.Tx) error {
		s.inside = true
		defer func() {
			s.inside = false
			s.cfg.Point("before-commit")
		}()
		return own(change(tx))
	})
	if err == nil {
		s.wrote = true
		s.commits++
		s.cfg.Point("after-commit")
	}
	return err
}

// work runs fn on the open database. What fails for the file's sake is done once more on a fresh connection. If SQLite then still
// calls the file damaged, and finds it so when it looks at all of it, that is set aside, and the work is done on a new one. Called
// within Locked.
func (s *Store) work(ctx context.Context, doing string, fn func(db *database) error) error {
	err := s.twice(ctx, fn)
	if isDamage(err) && s.within == withLock {
		s.drop()
		if isUnsound(ctx, s.cfg.Path, s.cfg.BusyWait) {
			if err = s.beginAgain(ctx); err == nil {
				err = fn(s.db)
			}
		}
	}
	return s.explain(doing, err)
}

// beginAgain is not ended by ctx: the replacement of a full queue takes seconds, and the next command would find it where it was.
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

// twice runs fn on the open database, and once more where that may help: on a fresh connection, with room that the WAL gives back,
// or when SQLite's lock, which another program may keep for long, is waited for to the end.
func (s *Store) twice(ctx context.Context, fn func(db *database) error) error {
	short := min(shortWait, s.cfg.BusyWait)
	err := s.once(ctx, short, fn)
	switch {
	case isCode(err, codeBusy):
		if rest := s.cfg.BusyWait - short; rest > 0 && !wasVain(s.lockPath(), s.cfg.Path, true) {
			return s.once(ctx, rest, fn)
		}
	case isFull(err):
		if s.db != nil && s.db.checkpoint(ctx) {
			return s.once(ctx, short, fn)
		}
	case isOfTheFile(err):
		s.drop()
		return s.once(ctx, short, fn)
	}
	return err
}

func (s *Store) once(ctx context.Context, busy time.Duration, fn func(db *database) error) error {
	if err := s.open(ctx, busy); err != nil {
		return err
	}
	return fn(s.db)
}

// open opens the database at the path, or finds it open.
func (s *Store) open(ctx context.Context, busy time.Duration) error {
	if s.db != nil && s.db.isCurrent(s.cfg.Path) {
		return s.db.wait(ctx, busy)
	}
	s.drop()
	db, err := openDatabase(ctx, s.cfg, busy, s.within == withLock)
	if _, system := errors.AsType[*fs.PathError](err); system { // met twice, too
		db, err = openDatabase(ctx, s.cfg, busy, s.within == withLock)
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

// drop closes the connection. Its error is that of a connection that nobody uses any more.
func (s *Store) drop() {
	if s.db != nil {
		s.db.Close()
		s.db = nil
	}
}

// explain is explain, with the connection closed where the system may have to be asked.
func (s *Store) explain(doing string, err error) error {
	if Cause(err) != nil {
		s.drop()
	}
	return explain(s.cfg.Path, doing, err)
}

// View runs look in a transaction that cannot write, without the write lock: looking changes nothing, waits for nobody and works on
// a read-only disk. It returns ErrNone when there is no database, and ErrOlder, which is an ErrNone too, when the next Write will
// have to migrate it first. Like Write's, the function is run up to three times.
func (s *Store) View(ctx context.Context, fn func(tx *sql.Tx) error) error {
	const doing = "look at the database"
	if err := CheckDescriptors(); err != nil {
		return err
	}
	file, err := look(s.cfg.Path)
	if err == nil && file == nil {
		return ErrNone
	}
	if err == nil {
		err = s.view(ctx, false, fn)
	}
	if isOfTheFile(err) {
		err = s.view(ctx, false, fn)
	}
	explained := s.explain(doing, err)
	// Neither on a read-only disk nor where files cannot be mapped is there shared memory.
	if isCode(err, codeShmMap) || isOfTheFile(err) && (errors.Is(explained, ErrReadOnly) || errors.Is(explained, ErrPermission)) {
		if err := s.view(ctx, true, fn); !isOfTheFile(err) {
			return s.explain(doing, err)
		}
	}
	return explained
}

func (s *Store) view(ctx context.Context, immutable bool, fn func(tx *sql.Tx) error) error {
	db, err := connectToLook(s.cfg.Path, s.cfg.BusyWait, immutable)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := viewable(ctx, db, s.cfg.Schemas); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return own(fn(tx))
}

// walLimit is the size, in bytes, over which a leaving process closes properly, which moves the WAL into the database.
const walLimit = 1 << 20

// Leave makes what was committed durable with one sync and keeps the database open: the last close of a database checkpoints it,
// which costs three to four more syncs, and the process is about to end. Call it without the write lock, so that nobody waits for
// the disk.
func (s *Store) Leave() error {
	end, _ := s.turn.take()
	defer end()
	if !s.wrote {
		return nil
	}
	s.wrote = false
	size, err := s.syncWAL()
	if errors.Is(err, fs.ErrNotExist) { // without a WAL a commit ends with the removal of its journal
		err = syncDirectory(filepath.Dir(s.cfg.Path))
	}
	if err == nil && size > walLimit {
		err = s.Close()
	}
	return s.explain("sync the database", err)
}

func (s *Store) syncWAL() (size int64, err error) {
	size, err = SyncFile(s.cfg.Path + walSuffix)
	if !errors.Is(err, fs.ErrNotExist) {
		return size, err
	}
	target, linkErr := filepath.EvalSymlinks(s.cfg.Path) // it lies beside the target of a link
	if linkErr != nil || target == s.cfg.Path {
		return size, err
	}
	return SyncFile(target + walSuffix)
}

// Close closes the database. The last process to close it moves the WAL into it.
func (s *Store) Close() error {
	end, _ := s.turn.take()
	defer end()
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db = nil
	return s.explain("close the database", err)
}

// Version tells two states of the database apart. The zero value is none's.
type Version struct {
	db      *database // the numbers of two connections have nothing to do with each other
	data    int64     // changes when another connection commits
	commits int64     // of this store's own
}

// Version changes when anything is committed. It reads without the write lock.
func (s *Store) Version(ctx context.Context) (v Version, err error) {
	end, _ := s.turn.take()
	defer end()
	if s.db == nil {
		return v, ErrNone
	}
	return s.version(ctx, s.db)
}

// VersionIn is what Version will be when a transaction is committed.
func (s *Store) VersionIn(ctx context.Context, tx *sql.Tx) (v Version, err error) {
	v, err = s.version(ctx, tx)
	v.commits++
	return v, err
}

func (s *Store) version(ctx context.Context, from querier) (v Version, err error) {
	v = Version{db: s.db, commits: s.commits}
	err = from.QueryRowContext(ctx, "PRAGMA data_version").Scan(&v.data)
	return v, err
}

// Stamp changes when the database does, unless it does so again within a tick of the file system's clock.
func (s *Store) Stamp() (stamp [4]int64) {
	for i, suffix := range []string{"", walSuffix} {
		if info, err := os.Stat(s.cfg.Path + suffix); err == nil {
			stamp[2*i], stamp[2*i+1] = info.Size(), info.ModTime().UnixNano()
		}
	}
	return stamp
}
