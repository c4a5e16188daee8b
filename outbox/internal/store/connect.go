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

// connect opens an existing file, at the latest when it is first used. The settings that belong to a connection are in its address;
// as pragmas run once they would be lost with the connection they were run on. synchronous is NORMAL, which leaves the sync of a
// commit to Leave, or OFF.
func connect(path string, busy time.Duration, synchronous string) (*sql.DB, error) {
	pragmas := []string{"cache_size(-400)"} // kB; a batch fits, and a flusher's peak is 3 MB lower
	if runtime.GOOS == "darwin" {           // a plain fsync leaves the drive's cache alone there, a power cut does not
		pragmas = append(pragmas, "checkpoint_fullfsync(1)")
	}
	return connectTo(path, url.Values{
		"mode":          {"rw"}, // never creates: create does, with the right mode
		"_busy_timeout": {milliseconds(busy)},
		"_txlock":       {"immediate"},
		"_synchronous":  {synchronous},
		"_pragma":       pragmas,
	})
}

// connectAlone opens a file that nobody else will use meanwhile, which needs no shared memory, and runs the statements. The driver
// sorts the pragmas of an address, and that one counts only before the first look at the file.
func connectAlone(ctx context.Context, path string, busy time.Duration, statements ...string) (*sql.DB, error) {
	db, err := connectTo(path, url.Values{"mode": {"rw"}, "_busy_timeout": {milliseconds(busy)}, "_txlock": {"immediate"}})
	if err != nil {
		return nil, err
	}
	for _, statement := range append([]string{"PRAGMA locking_mode = EXCLUSIVE"}, statements...) {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			db.Close()
			return nil, err
		}
	}
	return db, nil
}

// connectToLook opens a file that nothing will be written to. As an immutable one it is read without its WAL and without shared
// memory, which cannot be made on a read-only disk.
func connectToLook(path string, busy time.Duration, immutable bool, pragmas ...string) (*sql.DB, error) {
	return connectTo(path, url.Values{
		"mode":          {"ro"},
		"immutable":     {strconv.FormatBool(immutable)},
		"_busy_timeout": {milliseconds(busy)},
		"_pragma":       pragmas,
	})
}

// connectTo escapes all of the path, the separators too: a file URI would make something else of ? # and %, of a volume and of a
// share.
func connectTo(path string, query url.Values) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(path)+"?"+query.Encode())
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

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
