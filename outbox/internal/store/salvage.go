package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// salvage copies what can be read of the damaged database into a fresh one: the rows of the tables
// that the fresh one has, by the names of their columns, and as well as it goes what others have
// added. An error is one of the fresh database.
func (s *Store) salvage(ctx context.Context, fresh *sql.DB) error {
	tx, err := fresh.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	own, err := tables(ctx, tx)
	if err != nil {
		return err
	}
	unread, statements, graft := own, []string(nil), true
	if old, err := openDamaged(ctx, s.cfg.Path, s.cfg.BusyWait); err == nil {
		found, headErr := readHead(ctx, old)
		graft = headErr != nil || found.version == s.known()
		added := othersObjects(ctx, old, tx)
		unread, err = copyTables(ctx, old, tx, append(own, added.tables...))
		old.Close()
		if err != nil {
			return err
		}
		statements = added.statements
	}
	if graft && len(unread) > 0 {
		if err := s.copyGrafted(ctx, tx, unread); err != nil {
			return err
		}
	}
	for _, statement := range statements {
		_, _ = tx.ExecContext(ctx, statement) // an index or a view that no longer fits is left behind
	}
	return errors.Join(ctx.Err(), tx.Commit())
}

// copyTables returns the tables of which nothing could be read.
func copyTables(ctx context.Context, old *sql.DB, tx *sql.Tx, names []string) (unread []string, err error) {
	for _, table := range names {
		read, err := copyTable(ctx, old, tx, table)
		if err != nil {
			return nil, fmt.Errorf("copy %s: %w", table, err)
		}
		if !read {
			unread = append(unread, table)
		}
	}
	return unread, copySequences(ctx, old, tx)
}

// copyGrafted reads tables from a copy of the damaged database that has the first page of the fresh one.
// A flipped bit in that page can hide every row, and it is the one page that need not be read: the
// migrations have made it the same everywhere, down to the pages at which tables begin, and auto_vacuum
// leaves those where they are.
func (s *Store) copyGrafted(ctx context.Context, tx *sql.Tx, names []string) error {
	path := s.cfg.Path + asideInfix + "copy" // removed with the rest if its maker is killed
	defer removeFiles(path, databaseFiles()...)
	page, err := firstPage(s.cfg.Path + newSuffix)
	if err != nil {
		return err
	}
	page[changesMatch] ^= 0xff // the length that it tells does not count then
	for _, suffix := range []string{"", "-wal"} {
		if err := copyFile(s.cfg.Path+suffix, path+suffix); err != nil {
			return err
		}
	}
	if err := overwrite(path, page); err != nil {
		return err
	}
	old, err := openDamaged(ctx, path, s.cfg.BusyWait)
	if err != nil {
		return nil // nothing can be read
	}
	defer old.Close()
	_, err = copyTables(ctx, old, tx, names)
	return err
}

// pageSize is SQLite's default, in bytes, and changesMatch the place of what says whether a header's
// length of the database counts, https://www.sqlite.org/fileformat.html#the_database_header.
const pageSize, changesMatch = 4096, 92

// copyFile copies what is a file: nobody knows what a database was replaced by.
func copyFile(from, to string) error {
	if info, err := os.Stat(from); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := createFile(to); err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

func firstPage(path string) (page []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	page = make([]byte, pageSize)
	_, err = io.ReadFull(file, page)
	return page, err
}

func overwrite(path string, start []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(start, 0)
	return errors.Join(err, file.Close())
}

// openDamaged opens a database to read what it can: writable_schema keeps SQLite from giving up on a
// schema of which a part cannot be understood. Nothing is written: the file may be needed again.
func openDamaged(ctx context.Context, path string, busy time.Duration) (*sql.DB, error) {
	var failure error
	for _, immutable := range []bool{false, true} {
		db, err := connectTo(viewDSN(path, busy, immutable, "writable_schema(1)"))
		if err != nil {
			return nil, err
		}
		var n int
		if failure = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n); failure == nil {
			return db, nil
		}
		db.Close()
	}
	return nil, failure
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

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

func tables(ctx context.Context, from querier) ([]string, error) {
	return texts(ctx, from, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
}

// others is what somebody has added to our database.
type others struct {
	tables     []string
	statements []string // that make the rest: indexes, views, triggers
}

// othersObjects makes others' tables in the fresh database.
func othersObjects(ctx context.Context, old *sql.DB, tx *sql.Tx) (o others) {
	const query = `SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE TABLE %' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`
	names, _ := texts(ctx, old, query) // those before the damage, if any
	for _, name := range names {
		made, err := texts(ctx, old, `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?`, name)
		if err != nil || len(made) != 1 {
			continue
		}
		if _, err := tx.ExecContext(ctx, made[0]); err == nil { // one of ours is there already
			o.tables = append(o.tables, name)
		}
	}
	o.statements, _ = texts(ctx, old, `SELECT sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL`)
	return o
}

// copyTable copies the rows that can be read: from the first one to the first damaged page, and from
// the last one back to it. Rows that a migration has put into the fresh table give way, if there is
// any other.
//
// It tells whether the table could be read at all.
func copyTable(ctx context.Context, old *sql.DB, tx *sql.Tx, table string) (read bool, err error) {
	c := copying{old: old, tx: tx, table: quote(table)}
	if err := c.columnsOf(ctx, table); err != nil || len(c.columns) == 0 {
		return false, err
	}
	if err := exec(ctx, tx, "SAVEPOINT salvage", "DELETE FROM "+c.table); err != nil {
		return false, err
	}
	complete, err := c.rows(ctx, "rowid", "ORDER BY rowid")
	if err == nil && !complete {
		_, err = c.rows(ctx, "rowid", fmt.Sprintf("WHERE rowid > %d ORDER BY rowid DESC", c.last))
	}
	if err == nil && c.copied == 0 { // a table without rowids, or nothing
		complete, err = c.rows(ctx, "0", "")
	}
	if err != nil {
		return false, err
	}
	if c.copied == 0 {
		return complete, exec(ctx, tx, "ROLLBACK TO salvage", "RELEASE salvage")
	}
	return true, exec(ctx, tx, "RELEASE salvage")
}

func exec(ctx context.Context, tx *sql.Tx, statements ...string) error {
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// copying is a table on its way.
type copying struct {
	old     *sql.DB
	tx      *sql.Tx
	table   string
	columns string // those that both have
	marks   string
	last    int64 // the number of the last row of the scan from the front
	copied  int
}

func (c *copying) columnsOf(ctx context.Context, table string) error {
	const query = `SELECT name FROM pragma_table_info(?)`
	fresh, err := texts(ctx, c.tx, query, table)
	if err != nil {
		return err
	}
	found, _ := texts(ctx, c.old, query, table) // none: the table is not in the damaged schema
	var common, marks []string
	for _, name := range fresh {
		if slices.Contains(found, name) {
			common, marks = append(common, quote(name)), append(marks, "?")
		}
	}
	c.columns, c.marks = strings.Join(common, ", "), strings.Join(marks, ", ")
	return nil
}

// rows copies what a scan yields until it meets damage, and tells whether it met none. NOT INDEXED:
// an index may lie. A row that the fresh table does not take is left behind; a full disk must not
// pass for such a row.
func (c *copying) rows(ctx context.Context, number, order string) (complete bool, err error) {
	rows, err := c.old.QueryContext(ctx, fmt.Sprintf("SELECT %s, %s FROM %s NOT INDEXED %s", number, c.columns, c.table, order))
	if err != nil {
		return false, ctx.Err()
	}
	defer rows.Close()
	insert, err := c.tx.PrepareContext(ctx, fmt.Sprintf("INSERT OR IGNORE INTO %s (%s) VALUES (%s)", c.table, c.columns, c.marks))
	if err != nil {
		return false, err
	}
	defer insert.Close()
	values := make([]any, strings.Count(c.marks, "?")+1)
	targets := make([]any, len(values))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return false, ctx.Err()
		}
		result, err := insert.ExecContext(ctx, values[1:]...)
		if isCode(err, codeConstraint) || isCode(err, codeMismatch) {
			continue
		}
		if err != nil {
			return false, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return false, err
		}
		c.copied += int(n)
		if at, ok := values[0].(int64); ok && !strings.HasSuffix(order, "DESC") {
			c.last = max(c.last, at)
		}
	}
	return rows.Err() == nil, ctx.Err()
}

// copySequences sees to it that a number that was given once is not given again.
func copySequences(ctx context.Context, old *sql.DB, tx *sql.Tx) error {
	rows, err := old.QueryContext(ctx, `SELECT name, seq FROM sqlite_sequence WHERE typeof(name) = 'text' AND typeof(seq) = 'integer'`)
	if err != nil {
		return ctx.Err()
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var seq int64
		if err := rows.Scan(&name, &seq); err != nil {
			return ctx.Err()
		}
		// A torn page can say any number, and behind the last one nothing can be recorded.
		if seq > 1<<40 {
			continue
		}
		for _, statement := range []string{
			`UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1 AND seq < ?2`,
			`INSERT INTO sqlite_sequence (name, seq) SELECT ?1, ?2 FROM sqlite_schema s
			 WHERE s.type = 'table' AND s.name = ?1 AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)`,
		} {
			if _, err := tx.ExecContext(ctx, statement, name, seq); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
