package store

import (
	"context"
	"database/sql"
	"net/url"
	"runtime"
	"strconv"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// connect opens an existing file when it is first used. The settings of a connection are in its address: run once as pragmas they
// would be lost with the connection. synchronous = NORMAL leaves the sync of a commit to Sync.
func connect(path string, busy time.Duration) (*sql.DB, error) {
	pragmas := []string{"synchronous(NORMAL)", "cache_size(-400)"} // kB; a batch fits, and a flusher's peak is 3 MB lower
	if runtime.GOOS == "darwin" {                                  // where a plain fsync does not empty the drive's cache
		pragmas = append(pragmas, "checkpoint_fullfsync(1)")
	}
	return connectTo(path, busy, url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_pragma": pragmas})
}

// connectToRead opens a file only to read it. As an immutable one it is read without its WAL and without shared memory, which a
// read-only disk cannot hold.
func connectToRead(path string, busy time.Duration, immutable bool, pragmas ...string) (*sql.DB, error) {
	return connectTo(path, busy, url.Values{"mode": {"ro"}, "immutable": {strconv.FormatBool(immutable)}, "_pragma": pragmas})
}

// connectTo never creates a file: begin does, with the right mode. It escapes all of the path, also its separators: ? # and %, a
// volume and a share mean something else in a file URI.
func connectTo(path string, busy time.Duration, options url.Values) (*sql.DB, error) {
	options.Set("_busy_timeout", strconv.FormatInt(busy.Milliseconds(), 10))
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(path)+"?"+options.Encode())
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// inTransaction commits what fn does, unless it returns an error.
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

// texts returns a column of texts.
func texts(ctx context.Context, from querier, query string, args ...any) (list []string, err error) {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return list, err
		}
		list = append(list, one)
	}
	return list, rows.Err()
}
