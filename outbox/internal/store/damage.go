package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// A damaged database is renamed first to damagedSuffix, where its readable rows are carried over into a new one, and then to
// copyInfix and a time. Earlier versions called their copies oldCopyInfix, and made databases beside their place: an unfinished
// one is makingInfix, a whole one newSuffix.
const (
	damagedSuffix = ".damaged"
	copyInfix     = ".damaged-"
	oldCopyInfix  = ".corrupt-"
	newSuffix     = ".new"
	makingInfix   = ".making-"
)

// maxCopies bounds the copies, or a disk that damages more would be filled with them.
const maxCopies = 3

// isUnsound asks SQLite to check all of a database that it has called damaged.
func isUnsound(ctx context.Context, path string, busy time.Duration) bool {
	db, err := connect(path, busy)
	if err != nil {
		return false
	}
	defer db.Close()
	said, err := texts(ctx, db, "PRAGMA integrity_check(1)")
	return isDamage(err) || err == nil && !slices.Equal(said, []string{"ok"})
}

// setAside renames the damaged database and its side files, which must never meet another database. The database goes first: a
// process that finds none, but damagedSuffix, goes on here (see begin). It is not open anywhere, and the lock is held.
func setAside(path string) error {
	found, err := copies(path)
	switch {
	case err != nil:
		return err
	case len(found) >= maxCopies:
		return ErrCopies
	case exists(path + damagedSuffix): // of a process that died after it had carried all over
		if err := keepCopy(path); err != nil {
			return err
		}
	}
	return move(path, path+damagedSuffix, append([]string{""}, sideSuffixes()...)...)
}

// copies returns the paths of the copies, without their side files, oldest first.
func copies(path string) ([]string, error) {
	found, err := beside(path, oldCopyInfix, damagedSuffix)
	return slices.DeleteFunc(found, func(name string) bool {
		return slices.ContainsFunc(sideSuffixes(), func(suffix string) bool { return strings.HasSuffix(name, suffix) })
	}), err
}

// removeBeside removes the files whose names continue the database's with one of the infixes.
func removeBeside(path string, infixes ...string) error {
	found, err := beside(path, infixes...)
	for _, one := range found {
		err = errors.Join(err, Remove(one, ""))
	}
	return err
}

// keepCopy gives the set-aside database its final name, once its readable rows are carried over. The time in it is that of the last
// change, so that a process that goes on here finds the same name.
func keepCopy(path string) error {
	info, err := os.Lstat(path + damagedSuffix)
	if err != nil {
		return err
	}
	for at := info.ModTime().UTC(); ; at = at.Add(time.Millisecond) {
		name := path + copyInfix + at.Format("20060102T150405.000")
		if !exists(name) {
			return move(path+damagedSuffix, name, append(sideSuffixes(), "")...)
		}
	}
}

// carryOver copies the readable rows of the set-aside database into the tables of a new one, by the names of their columns. An error
// is one of the new database, or says that the old one cannot be read now.
func carryOver(ctx context.Context, tx *sql.Tx, path string, busy time.Duration) error {
	old, err := openDamaged(ctx, path+damagedSuffix, busy)
	if isDamage(err) { // nothing can be read
		return nil
	}
	if err != nil {
		return err
	}
	defer old.Close()
	tables, err := texts(ctx, tx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := carryTable(ctx, old, tx, table); err != nil {
			return fmt.Errorf("carry over %s: %w", table, err)
		}
	}
	return carrySequences(ctx, old, tx)
}

// openDamaged opens a database as far as it can be read. With writable_schema SQLite does not give up on a schema of which it
// understands only a part; without the WAL more may be readable than with it.
func openDamaged(ctx context.Context, path string, busy time.Duration) (*sql.DB, error) {
	for immutable := false; ; immutable = true {
		db, err := connectToRead(path, busy, immutable, "writable_schema(1)")
		if err != nil {
			return nil, err
		}
		if _, err = texts(ctx, db, "SELECT 1 FROM sqlite_schema"); err == nil {
			return db, nil
		}
		db.Close()
		if immutable || !isDamage(err) {
			return nil, err
		}
	}
}

// carryTable copies the rows from the front to the first damaged page and, if there is one, from the back to the last: pending
// messages are at the end. Rows that a migration has made are replaced.
func carryTable(ctx context.Context, old *sql.DB, tx *sql.Tx, table string) error {
	const query = `SELECT name FROM pragma_table_info(?)`
	columns, err := texts(ctx, tx, query, table)
	if err != nil {
		return err
	}
	found, err := texts(ctx, old, query, table)
	if err := passing(ctx, err); err != nil {
		return err
	}
	columns = slices.DeleteFunc(columns, func(name string) bool { return !slices.Contains(found, name) })
	if len(columns) == 0 {
		return nil
	}
	list := `"` + strings.Join(columns, `", "`) + `"`
	insert, err := tx.PrepareContext(ctx, fmt.Sprintf(`INSERT OR REPLACE INTO "%s" (%s) VALUES (?%s)`,
		table, list, strings.Repeat(", ?", len(columns)-1)))
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, order := range []string{"off", "on"} {
		if _, err := old.ExecContext(ctx, "PRAGMA reverse_unordered_selects = "+order); err != nil {
			return err
		}
		query := fmt.Sprintf(`SELECT %s FROM "%s" NOT INDEXED`, list, table)
		if complete, err := carryRows(ctx, old, query, len(columns), insert); complete || err != nil {
			return err
		}
	}
	return nil
}

// carryRows copies the rows of a scan and reports whether it met no damage, which a failed read is to SQLite, too. NOT INDEXED: an
// index may lie. A row that the new table refuses is left behind; a full disk must not pass for such a row.
func carryRows(ctx context.Context, old *sql.DB, query string, columns int, insert *sql.Stmt) (complete bool, err error) {
	rows, err := old.QueryContext(ctx, query)
	if err != nil {
		return false, passing(ctx, err)
	}
	defer rows.Close()
	values, targets := make([]any, columns), make([]any, columns)
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return false, passing(ctx, err)
		}
		_, err := insert.ExecContext(ctx, values...)
		if err != nil && !isCode(err, codeConstraint) && !isCode(err, codeMismatch) {
			return false, err
		}
	}
	return rows.Err() == nil, passing(ctx, rows.Err())
}

// carrySequences keeps the numbers that were given once from being given again: every table goes on behind the largest one.
func carrySequences(ctx context.Context, old *sql.DB, tx *sql.Tx) error {
	var last sql.NullInt64
	err := old.QueryRowContext(ctx, `SELECT max(seq) FROM sqlite_sequence`).Scan(&last)
	if err != nil || !last.Valid {
		return passing(ctx, err)
	}
	_, err = tx.ExecContext(ctx, `
		DELETE FROM sqlite_sequence;
		INSERT INTO sqlite_sequence (name, seq) SELECT name, ? FROM sqlite_schema WHERE sql LIKE '%AUTOINCREMENT%'`, last)
	return err
}

// passing returns an error that may have passed by the time the next process carries over. Damage does not pass; to SQLite a failed
// read is damage, too.
func passing(ctx context.Context, err error) error {
	if isOfTheFile(err) && !isDamage(err) {
		return err
	}
	return ctx.Err()
}
