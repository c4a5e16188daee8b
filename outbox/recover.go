package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// newSuffix names the database that is about to take a corrupt one's place, and asideInfix what
// was set aside.
const (
	newSuffix  = ".new"
	asideInfix = ".corrupt-"
)

// databaseFiles are the suffixes of the files that make up one database.
func databaseFiles() []string { return []string{"", "-wal", "-shm"} }

// replaceCorrupt puts a new database with all that can be read of a corrupt one in its place.
// Called with the write lock held, and really so: of two that replaced the same database, the
// second would set aside what others had committed to the first one's.
//
// A process can die anywhere in here. Until the new database is complete the corrupt one stays
// where it is, and the next process begins again; from then on the next one goes on (see create).
func (o *Outbox) replaceCorrupt(ctx context.Context) error {
	o.Close() // its error could only say again that the file is corrupt
	for range 3 {
		before := o.lastWritten()
		if err := o.buildNew(ctx); err != nil {
			return err
		}
		o.cfg.Point("salvaged")
		if o.lastWritten() == before {
			return o.swap()
		}
	}
	return errors.New("others write to the corrupt database")
}

// lastWritten tells whether the database has changed. This process may be stopped in the middle
// of a replacement, until others no longer wait for the lock; and damage need not be in their way.
func (o *Outbox) lastWritten() (at [2]time.Time) {
	for i, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(o.cfg.Path + suffix); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

// swap sets the database at the path aside, if there is one, and moves the new one there.
func (o *Outbox) swap() error {
	aside := o.cfg.Path + asideInfix + o.cfg.Now().UTC().Format("20060102T150405.000")
	if err := setAside(o.cfg.Path, aside); err != nil {
		return err
	}
	o.cfg.Point("set-aside")
	return os.Rename(o.cfg.Path+newSuffix, o.cfg.Path)
}

// removeFiles removes what is there of the files with the given suffixes.
func removeFiles(path string, suffixes ...string) (err error) {
	for _, suffix := range suffixes {
		if one := os.Remove(path + suffix); !errors.Is(one, fs.ErrNotExist) {
			err = errors.Join(err, one)
		}
	}
	return err
}

// setAside renames the database, its WAL and its shared memory together: the WAL of one
// database must never meet another. The database goes first: if the process dies in between, the
// missing database tells the next one to go on.
func setAside(path, aside string) error {
	for _, suffix := range databaseFiles() {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// removeAside removes what earlier replacements have set aside. All that could be read of it
// has been carried over.
func (o *Outbox) removeAside() error {
	entries, err := os.ReadDir(filepath.Dir(o.cfg.Path))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), filepath.Base(o.cfg.Path)+asideInfix) {
			err = errors.Join(err, os.Remove(filepath.Join(filepath.Dir(o.cfg.Path), entry.Name())))
		}
	}
	return err
}

// buildNew makes the new database, complete in one file, out of what can be read of the old one. It
// stamps the lock now and then: that takes long on a busy machine, and a crowd gives up on a holder
// who does not get on.
func (o *Outbox) buildNew(ctx context.Context) (err error) {
	cfg := o.cfg
	cfg.Path += newSuffix
	if err := removeFiles(cfg.Path, databaseFiles()...); err != nil { // of a process that died here
		return err
	}
	if err := o.removeAside(); err != nil { // one copy is kept, not one for each bad day
		return err
	}
	o.lock.stamp()
	fresh := New(cfg)
	defer func() { err = errors.Join(err, fresh.Close()) }()
	if err := fresh.inTx(ctx, func(*sql.Tx) error { return nil }); err != nil {
		return err
	}
	if err := fresh.Close(); err != nil { // moves the WAL into the file
		return err
	}
	o.lock.stamp()
	old, err := o.openGrafted(ctx, cfg.Path)
	if err != nil {
		return err
	}
	o.cfg.Point("grafted")
	err = fresh.inTx(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{"messages", "identities", "principals", "mirror", "consent", "delivery"} {
			o.lock.stamp()
			if err := (salvage{old, tx, table}).all(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, old.Close(), o.removeAside()); err != nil {
		return err
	}
	return fresh.shrink(ctx, 0, o.cfg.BusyWait) // moves the WAL into the file
}

// salvage is a table on its way from a damaged database into a new one.
type salvage struct {
	old   *sql.DB
	fresh *sql.Tx
	table string
}

// maxGap is how many numbers are tried in vain for rows behind a damaged page, which takes a tenth
// of a second. A page has fewer than a hundred; below one that only leads to others there are some
// thousand.
const maxGap = 5_000

// all copies the rows that can be read. A damaged page ends a scan, so the rest is read from the
// other end; what lies between two damaged pages, from each number on that is not on one.
func (s salvage) all(ctx context.Context) error {
	last, complete, err := s.rows(ctx, 0, math.MaxInt64, "ASC")
	if err != nil || complete {
		return err
	}
	end, complete, err := s.rows(ctx, last+1, math.MaxInt64, "DESC")
	if err != nil || complete || !hasOurSchema(ctx, s.old) {
		return err
	}
	if end == 0 {
		end = s.end(ctx, last)
	}
	if last == 0 {
		last = max(0, end-maxGap)
	}
	return s.between(ctx, last+1, end)
}

// between copies the rows with the numbers from..end-1 that are not on damaged pages.
func (s salvage) between(ctx context.Context, from, end int64) error {
	for vain := 0; from < end && vain < maxGap; from++ {
		last, complete, err := s.rows(ctx, from, end, "ASC")
		if err != nil || complete {
			return err
		}
		if last == 0 {
			vain++
		}
		from = max(from, last)
	}
	return nil
}

// end returns a number behind the last message, when the last page cannot be read. Other tables
// are a page or two, of which nothing more can be read.
func (s salvage) end(ctx context.Context, last int64) (n int64) {
	if s.table != "messages" {
		return 0
	}
	err := s.old.QueryRowContext(ctx, `SELECT seq + 1 FROM sqlite_sequence WHERE name = 'messages'`).Scan(&n)
	if err != nil {
		return last + maxGap
	}
	return n
}

// rows copies the rows with the numbers from..end-1, and tells the number of the last one and
// whether there is none left. A row that the new schema does not take is left behind. An error is
// one of the new database, and none that is the row's own fault: a full disk must not pass for a
// bad row.
func (s salvage) rows(ctx context.Context, from, end int64, order string) (last int64, complete bool, err error) {
	rows, err := s.old.QueryContext(ctx, s.query(order), from, end)
	if err != nil {
		return 0, false, nil
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, false, nil
	}
	for rows.Next() {
		values, err := rowValues(rows, len(columns))
		if err != nil {
			return last, false, nil
		}
		last = values[0].(int64) // SQLite knows no other rowid
		if err := s.insert(ctx, columns[1:], values[1:]); err != nil {
			return last, false, err
		}
	}
	return last, rows.Err() == nil, nil
}

// query leaves out receipts, which are not worth a second copy. NOT INDEXED: an index may lie.
func (s salvage) query(order string) string {
	undelivered := ""
	if s.table == "messages" {
		undelivered = "AND state IS NOT 'delivered'"
	}
	return fmt.Sprintf("SELECT rowid, * FROM %s NOT INDEXED WHERE rowid >= ? AND rowid < ? %s ORDER BY rowid %s",
		s.table, undelivered, order)
}

func (s salvage) insert(ctx context.Context, columns []string, values []any) error {
	err := s.put(ctx, columns, values)
	if i := slices.Index(columns, "seq"); i >= 0 && isRefusal(err) {
		// Its number is damaged, or its number's owner was: a new one lets both stay.
		values[i] = nil
		err = s.put(ctx, columns, values)
	}
	if isRefusal(err) {
		return nil
	}
	return err
}

// put inserts a row. A message that was read before is known by its uuid.
func (s salvage) put(ctx context.Context, columns []string, values []any) error {
	verb, known := "INSERT OR REPLACE", ""
	if s.table == "messages" {
		verb, known = "INSERT", "ON CONFLICT (uuid) DO NOTHING"
		// One whose state is damaged is not settled yet.
		if i := slices.Index(columns, "state"); i >= 0 && values[i] != string(Dead) {
			values[i] = Pending
		}
	}
	_, err := s.fresh.ExecContext(ctx, fmt.Sprintf("%s INTO %s (%s) VALUES (%s) %s", verb, s.table,
		strings.Join(columns, ", "), strings.Join(slices.Repeat([]string{"?"}, len(columns)), ", "), known), values...)
	return err
}

// isRefusal tells whether the schema does not take a row, because of a constraint, a type or an
// unknown column.
func isRefusal(err error) bool {
	return isCode(err, codeConstraint) || isCode(err, codeMismatch) || isCode(err, codeError)
}

func rowValues(rows *sql.Rows, n int) ([]any, error) {
	values, targets := make([]any, n), make([]any, n)
	for i := range values {
		targets[i] = &values[i]
	}
	return values, rows.Scan(targets...)
}
