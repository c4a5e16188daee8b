package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"

	"github.com/ArcadeAI/arcade-cli/migrations"
)

// ErrNewer means that a newer binary has migrated the database. This one leaves it alone.
var ErrNewer = errors.New("the database was written by a newer version")

// SQLite's primary result codes, https://www.sqlite.org/rescode.html.
const (
	codeError      = 1
	codeReadOnly   = 8
	codeCorrupt    = 11
	codeCantOpen   = 14
	codeTooBig     = 18
	codeConstraint = 19
	codeMismatch   = 20
	codeNotADB     = 26

	codeShortRead = 522 // SQLITE_IOERR_SHORT_READ, an extended code: the file was cut
)

// open opens the database, creates it or migrates it, whichever is needed. Called with the
// write lock held: without it a first run of many processes at once fails with BUSY now and
// then, in spite of the busy timeout.
func (o *Outbox) open(ctx context.Context) error {
	if o.db != nil && !o.isCurrent() {
		o.Close() // its error is that of a database that nobody will open again
	}
	if o.db != nil && o.ready {
		return nil
	}
	db, version, err := o.connectVersion(ctx)
	if isCode(err, codeCantOpen) {
		if err = o.create(); err == nil {
			o.cfg.Point("created")
			db, version, err = o.connectVersion(ctx)
		}
		if isCode(err, codeCantOpen) {
			err = fmt.Errorf("%w: check that %s is a file and that you may read and write it", err, o.cfg.Path)
		}
	}
	if err != nil {
		return err
	}
	if err := o.migrate(ctx, db, version); err != nil {
		db.Close()
		return err
	}
	o.file, err = os.Stat(o.cfg.Path)
	o.db, o.ready = db, true
	return err
}

// openEarly connects to a database that is in use, before the lock is taken: that takes longer than
// all that is done with the lock in hand, and a crowd waits for the lock. Its version is read, and
// whether it is still the one at the path, by open. What is not as usual is left to open, too: a
// database without a WAL may be in the making, and a reader could make that fail.
func (o *Outbox) openEarly(ctx context.Context) {
	file, err := os.Stat(o.cfg.Path)
	if err != nil || file.Size() == 0 {
		return
	}
	if _, err := os.Stat(o.cfg.Path + "-wal"); err != nil {
		return
	}
	db, err := o.connect()
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
	o.db, o.file = db, file
	o.cfg.Point("opened-early")
}

// isCurrent tells whether the open database is still the one at the path: another process may
// have replaced a corrupt one, or a person removed it, and what is written to such a file is
// never seen again.
func (o *Outbox) isCurrent() bool {
	file, err := os.Stat(o.cfg.Path)
	return err == nil && os.SameFile(file, o.file)
}

// connect opens an existing file, at the latest when it is first used.
func (o *Outbox) connect() (*sql.DB, error) { return connect(o.cfg.Path, o.cfg.BusyWait) }

func connect(path string, busy time.Duration) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, busy))
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// connectVersion also reads the schema version, which is 0 for an empty file.
func (o *Outbox) connectVersion(ctx context.Context) (db *sql.DB, version int, err error) {
	if db, o.db = o.db, nil; db == nil { // not opened early
		if db, err = o.connect(); err != nil {
			return nil, 0, err
		}
	}
	version, err = schemaVersion(ctx, db)
	if err != nil {
		db.Close()
		return nil, 0, err
	}
	return db, version, nil
}

func (o *Outbox) migrate(ctx context.Context, db *sql.DB, version int) error {
	known := migrations.Version()
	switch {
	case version > known:
		return fmt.Errorf("%w (its schema is %d, this version knows %d): update arcade", ErrNewer, version, known)
	case version == known:
		return nil
	case version == 0:
		if err := refuseForeign(ctx, db); err != nil {
			return err
		}
		if err := initialize(ctx, db); err != nil {
			return err
		}
		o.cfg.Point("initialized")
	}
	return migrations.Apply(ctx, db, version, known, o.cfg.Point)
}

// refuseForeign keeps our tables out of a database that has others.
func refuseForeign(ctx context.Context, db *sql.DB) error {
	found, err := readSchema(ctx, db)
	if err == nil && found.version == 0 && len(found.objects) > 0 {
		err = errForeign
	}
	return err
}

// initialize sets what a database keeps for ever; auto_vacuum only takes effect before the
// first table exists.
func initialize(ctx context.Context, db *sql.DB) error {
	for _, pragma := range []string{"PRAGMA auto_vacuum = incremental", "PRAGMA journal_mode = wal"} {
		if _, err := db.ExecContext(ctx, pragma); err != nil {
			return err
		}
	}
	return nil
}

// create makes an empty file with mode 0600, which its WAL and shared memory then inherit. It is
// no error when another process was faster. Nothing else is touched here: a WAL that lies there
// without its database belongs to another one, but this process may have been stopped since it
// looked, and SQLite itself removes a WAL that it finds beside an empty database.
//
// A replacement that lies there without its database was complete when its maker died.
func (o *Outbox) create() error {
	if o.isHalfReplaced() {
		if o.lock == nil {
			return fmt.Errorf("the database is being replaced: %w", errLocked)
		}
		return o.swap()
	}
	file, err := os.OpenFile(o.cfg.Path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}

func (o *Outbox) isHalfReplaced() bool {
	_, err := os.Lstat(o.cfg.Path)
	_, newErr := os.Lstat(o.cfg.Path + newSuffix)
	return errors.Is(err, fs.ErrNotExist) && newErr == nil
}

// dsn carries the settings that belong to a connection; as pragmas run once they would be lost
// with the connection they were run on. synchronous=NORMAL leaves the sync of a commit to Leave.
func dsn(path string, busy time.Duration) string {
	pragmas := []string{"cache_size(-400)"} // kB; a flusher's batch fits, and its peak is 3 MB lower
	if runtime.GOOS == "darwin" {           // a plain fsync leaves the drive's cache alone there, a power cut does not
		pragmas = append(pragmas, "checkpoint_fullfsync(1)")
	}
	return fileURI(path, url.Values{
		"mode":          {"rw"}, // never creates: create does, with the right mode
		"_busy_timeout": {strconv.FormatInt(busy.Milliseconds(), 10)},
		"_synchronous":  {"NORMAL"},
		"_txlock":       {"immediate"},
		"_pragma":       pragmas,
	})
}

// viewDSN is for looking only. An immutable database is read without its side files, which
// cannot be made on a read-only disk.
func viewDSN(path string, busy time.Duration, immutable bool) string {
	return fileURI(path, url.Values{
		"mode":          {"ro"},
		"immutable":     {strconv.Itoa(map[bool]int{true: 1}[immutable])},
		"_busy_timeout": {strconv.FormatInt(busy.Milliseconds(), 10)},
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

func schemaVersion(ctx context.Context, db *sql.DB) (version int, err error) {
	err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

// isCorrupt tells whether err means that the file's content is not a sound database.
func isCorrupt(err error) bool {
	return isCode(err, codeCorrupt) || isCode(err, codeNotADB) || isExtended(err, codeShortRead) || isImpossible(err)
}

// isImpossible tells whether a row was not there, or not of a type, that the schema guarantees.
// SQLite takes what it reads from a torn page for what was written. database/sql has no type for
// the second error.
func isImpossible(err error) bool {
	return err != nil && (errors.Is(err, sql.ErrNoRows) || strings.Contains(err.Error(), "sql: Scan error on column"))
}

func isCode(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}

func isExtended(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == code
}
