// Package store keeps tables in one SQLite file that survives kills, power cuts, crowds of processes, damage and a full disk. It
// knows only the tables that the migrations make.
//
// Its files, each of which needs only those before it: errors; the system; files; lock; cause (an error in words); schema; connect;
// damage (set aside, carry over); open (begin, fill, migrate); store; space.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
)

// Store is a database file that is opened when it is first needed. Any number of goroutines may use it, one at a time; any number
// of processes may have the same file open.
type Store struct {
	cfg      Config
	turn     turn
	db       *database     // nil: not open
	busy     time.Duration // SQLite's wait for another process
	last     os.FileInfo   // what was open last
	locked   bool          // this process holds the write lock
	inChange bool          // the function of a Write runs
	vain     bool          // the lock was waited for in vain
	noted    bool          // such a wait, of any process, was noted when this one had its turn
	began    time.Time     // when Locked did, or this process committed last
	unsynced bool          // something was committed since the last Sync
	unnamed  bool          // the directory may not have the WAL's name yet
}

// New returns the store at cfg.Path. It touches nothing: the file is opened, and if need be created, by the first transaction.
func New(cfg Config) *Store {
	cfg.LockWait = cmp.Or(cfg.LockWait, 5*time.Second)
	cfg.BusyWait = cmp.Or(cfg.BusyWait, time.Second)
	return &Store{cfg: cfg, turn: turn{taken: make(chan struct{}, 1)}}
}

func (s *Store) lockPath() string { return s.cfg.Path + lockSuffix }

// Locked runs fn with the write lock held, so that what fn does outside the database, such as exporting a file, is as exclusive as
// its transactions. Those do not take the lock again. When the lock cannot be had in time fn runs all the same: SQLite's own locking
// still guards a database that is complete. When ctx ends while the lock is waited for, its error is returned.
func (s *Store) Locked(ctx context.Context, fn func() error) error { return s.locking(ctx, false, fn) }

// locking is Locked; opens says that fn needs the database, which may then be opened before the lock is taken.
func (s *Store) locking(ctx context.Context, opens bool, fn func() error) error {
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
	s.began = time.Now()
	earlier := wasVain(s.lockPath())
	if opens && !earlier {
		if err := s.openEarly(ctx); isCode(err, codeProtocol) { // the same 10 s would be waited under the lock
			s.noteVain()
			return s.explain("open the database", err)
		}
	}
	waited := !s.vain // else it does not wait, and cannot see whether others commit
	lock, err := s.lock(ctx, earlier)
	if mayPass(err) {
		lock, err = s.lock(ctx, earlier)
	}
	s.locked = err == nil
	if s.locked {
		defer lock.Close()
	} else if !errors.Is(err, ErrLocked) {
		return s.explain("lock the database", err)
	}
	// A commit without the lock does not show that the lock's holder moves on: the wait is noted before it, and the note is read again.
	stopped := waited && !s.locked && !s.isMoving()
	s.noted = wasVain(s.lockPath())
	if stopped || s.noted && !s.locked {
		s.noteVain()
	}
	s.busy = s.cfg.BusyWait
	if s.noted && (s.locked || earlier) {
		s.busy = min(s.busy, shortWait)
	}
	err = fn()
	if errors.Is(err, ErrLocked) && !s.isMoving() {
		s.noteVain()
	}
	s.locked = false
	return err
}

// noteVain notes that a wait was in vain. A command that its user has ended hardly waits, and cannot tell.
func (s *Store) noteVain() {
	if s.cfg.BusyWait > shortWait {
		noteVain(s.lockPath(), vainTime)
	}
}

// openEarly opens a database that has a WAL, so that a crowd does not wait while each of them opens it under the lock. What is wrong
// is met again there, and what has to be made or finished is left to the process with the lock. Windows could not set a damaged
// database aside while others have it open.
func (s *Store) openEarly(ctx context.Context) error {
	if s.db != nil || runtime.GOOS == "windows" || !exists(s.cfg.Path+walSuffix) || exists(s.cfg.Path+damagedSuffix) {
		return nil
	}
	db, err := openDatabase(ctx, s.cfg, 0, false)
	if err == nil {
		s.db = db
	}
	return err
}

// isMoving reports whether another process has committed since Locked began: a crowd, however slow, is not stopped. An empty file may
// be one that this process has just made.
func (s *Store) isMoving() bool {
	for _, suffix := range []string{"", walSuffix} {
		if info, err := os.Stat(s.cfg.Path + suffix); err == nil && info.Size() > 0 && info.ModTime().After(s.began) {
			return true
		}
	}
	return false
}

// lock takes the write lock. A process waits for it in vain only once: a flusher, which has ten seconds for many transactions, would
// not come to the last of them. earlier reports that the last wait was in vain.
func (s *Store) lock(ctx context.Context, earlier bool) (*flock.Flock, error) {
	if lacks(s.lockPath()) {
		if err := s.makeLockFile(); err != nil {
			return nil, err
		}
	}
	wait := s.cfg.LockWait
	switch {
	case s.vain:
		wait = 0
	case earlier:
		wait = min(wait, shortWait)
	}
	lock, err := Lock(ctx, s.lockPath(), wait)
	s.vain = errors.Is(err, ErrLocked)
	return lock, err
}

// makeLockFile makes the directory (0700) as well when it is missing; an existing one stays as it is. What is in the database's place
// does not matter: the embedder has files of its own to make under the lock.
func (s *Store) makeLockFile() error {
	if file, _ := look(s.cfg.Path); file == nil && s.cfg.Existing {
		return ErrNone
	}
	_, err := ground(s.cfg.Path)
	if err == nil {
		err = makeDirectory(filepath.Dir(s.cfg.Path))
	}
	if err == nil {
		err = CreateFile(s.lockPath())
	}
	return err
}

// Write runs change in one immediate transaction under the write lock and commits it when change returns nil; committed, if it is
// not nil, runs after the commit with the lock still held. The database is created, migrated or, when it is damaged, set aside and
// begun again as needed.
//
// An error of the file is met twice before it is believed, so change may run several times: it must not keep what an earlier run
// of it produced. Its own errors come back unchanged, after one run. Another Write within change is ErrNested: the second
// transaction would wait for the first.
func (s *Store) Write(ctx context.Context, change func(tx *sql.Tx) error, committed func()) error {
	return s.locking(ctx, true, func() error {
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
		if s.noted && s.locked {
			noteVain(s.lockPath(), 0)
			s.noted = false
		}
		s.unsynced, s.began = true, time.Now()
		s.cfg.Point("after-commit")
	}
	return err
}

// use runs fn on the open database: again as long as a crowd keeps that busy, and on a fresh connection if it fails for the file's
// sake. If SQLite then still calls the file damaged, also after a look at all of it, that is set aside, and fn runs on a new one. The
// replacement does not end with ctx: that of a full queue takes seconds, and the next command would have to start it anew. Called
// within Locked.
func (s *Store) use(ctx context.Context, doing string, fn func(db *database) error) error {
	err := s.openAnd(ctx, fn)
	for isBusy(err) && s.isMoving() && time.Since(s.began) < 2*s.cfg.LockWait-s.cfg.BusyWait {
		err = s.openAnd(ctx, fn)
	}
	if mayPass(err) {
		s.drop()
		err = s.openAnd(ctx, fn)
	}
	if isDamage(err) && s.locked {
		s.drop()
		if isUnsound(ctx, s.cfg.Path, s.cfg.BusyWait) {
			if err = setAside(s.cfg.Path); err == nil {
				s.cfg.Point("set-aside")
				s.last = nil
				err = s.openAnd(context.WithoutCancel(ctx), fn)
			}
		}
	}
	return s.explain(doing, err)
}

// openAnd runs fn on the database at the path, which it opens unless it is open.
func (s *Store) openAnd(ctx context.Context, fn func(db *database) error) error {
	if s.db == nil || !s.db.isCurrent(s.cfg.Path) {
		s.drop()
		db, err := openDatabase(ctx, s.cfg, s.busy, s.locked)
		if err != nil {
			return err
		}
		s.db = db
	}
	if s.cfg.Existing && s.last != nil && !os.SameFile(s.last, s.db.file) {
		s.drop()
		return fmt.Errorf("the database was removed or replaced: %w", ErrNone)
	}
	s.last = s.db.file
	if err := s.db.waitFor(ctx, s.busy); err != nil {
		return err
	}
	return fn(s.db)
}

// drop closes the connection, if there is one.
func (s *Store) drop() (err error) {
	if s.db != nil {
		err = s.db.Close()
		s.db = nil
	}
	return err
}

// explain says what was being done and why it failed. An error without a cause stays as it is. For one that SQLite does not know, the
// system is asked: with the connection closed, see askSystem, for which View has to wait its turn as well.
func (s *Store) explain(doing string, err error) error {
	if own, ok := err.(callerError); ok {
		return own.error
	}
	if refusesFiles(err) {
		err = errors.Join(ErrPermission, err)
	}
	cause := Cause(err)
	if errors.Is(cause, ErrUnreadable) {
		end, _, _ := s.turn.take(context.Background())
		defer end()
		s.drop()
		if found := askSystem(s.cfg.Path); Cause(found) != nil {
			cause, err = Cause(found), errors.Join(found, err)
		}
	}
	switch cause {
	case nil:
		return err
	case ErrPermission:
		cause = FileTrouble(s.cfg.Path, err)
	case ErrDamaged:
		if found, _ := copies(s.cfg.Path); len(found) >= maxCopies {
			cause = ErrCopies
		}
	}
	return &causedError{doing: doing, cause: cause, err: err}
}

// View runs read in a transaction that cannot write, without the write lock: it changes nothing, waits for no other process and
// works on a read-only disk. It returns ErrNone when there is no database, and ErrOlder, which is an ErrNone too, when the next Write
// has to migrate it first. Like Write's, the function may run several times.
func (s *Store) View(ctx context.Context, read func(tx *sql.Tx) error) error {
	const doing = "look at the database"
	err := s.view(ctx, false, read)
	if mayPass(err) {
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
	if err := checkDescriptors(openDescriptors); err != nil {
		return err
	}
	file, err := look(s.cfg.Path)
	if err != nil || file == nil {
		return cmp.Or(err, ErrNone)
	}
	db, err := connectToRead(s.cfg.Path, s.cfg.BusyWait, immutable)
	if err != nil {
		return err
	}
	defer db.Close()
	found, err := readProgress(ctx, db, s.cfg.Schemas)
	switch {
	case err != nil:
		return err
	case found.isNew:
		return ErrNone
	case !found.isComplete:
		return ErrOlder
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
	size, err := SyncFile(s.cfg.Path + walSuffix)
	if errors.Is(err, fs.ErrNotExist) || err == nil && s.unnamed { // without a WAL a commit ends with the removal of its journal
		s.unnamed, err = false, syncDirectory(filepath.Dir(s.cfg.Path))
	}
	if err == nil && size > walLimit {
		err = s.Close()
	}
	return s.explain("sync the database", err)
}

// Close closes the database. The last process to close it moves the WAL into it.
func (s *Store) Close() error {
	end, _, _ := s.turn.take(context.Background())
	defer end()
	return s.explain("close the database", s.drop())
}

// WALSize returns the size of the WAL in bytes, 0 without one.
func (s *Store) WALSize() int64 {
	if info, err := os.Stat(s.cfg.Path + walSuffix); err == nil {
		return info.Size()
	}
	return 0
}
