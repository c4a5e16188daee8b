package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// replaceCorrupt sets a corrupt database aside and carries over to a new one what can be read
// of it. Called with the write lock held.
func (o *Outbox) replaceCorrupt(ctx context.Context) error {
	o.Close() // its error could only say again that the file is corrupt
	aside := o.cfg.Path + ".corrupt-" + o.cfg.Now().UTC().Format("20060102T150405.000")
	if err := setAside(o.cfg.Path, aside); err != nil {
		return err
	}
	o.cfg.Point("set-aside")
	old, err := sql.Open("sqlite", dsn(aside, o.cfg.BusyWait))
	if err != nil {
		return err
	}
	defer old.Close()
	old.SetMaxOpenConns(1)
	return o.inTx(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{"messages", "identities", "principals", "mirror", "consent", "delivery"} {
			if err := salvage(ctx, old, tx, table); err != nil {
				return err
			}
		}
		return nil
	})
}

// setAside renames the database, its WAL and its shared memory together: the WAL of one
// database must never meet another. The database goes first: if the process dies in between,
// the next one creates the database anew, and with it removes the WAL that was left.
func setAside(path, aside string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// salvage copies the rows that can be read. A damaged page ends a scan, so the rest is read
// from the other end. A row that the new schema does not take is left behind.
func salvage(ctx context.Context, old *sql.DB, tx *sql.Tx, table string) error {
	condition := ""
	if table == "messages" { // receipts are not worth a second copy; NOT INDEXED: an index may lie
		condition = "NOT INDEXED WHERE state = 'pending'"
	}
	for _, order := range []string{"ASC", "DESC"} {
		query := fmt.Sprintf("SELECT * FROM %s %s ORDER BY rowid %s", table, condition, order)
		complete, err := copyRows(ctx, old, tx, table, query)
		if err != nil || complete {
			return err
		}
	}
	return nil
}

// copyRows reports whether the query came to its end. An error is one of the new database.
func copyRows(ctx context.Context, old *sql.DB, tx *sql.Tx, table, query string) (complete bool, err error) {
	rows, err := old.QueryContext(ctx, query)
	if err != nil {
		return false, nil
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return false, nil
	}
	insert := fmt.Sprintf("INSERT OR REPLACE INTO %s (%s) VALUES (%s)", table,
		strings.Join(columns, ", "), strings.Join(slices.Repeat([]string{"?"}, len(columns)), ", "))
	for rows.Next() {
		values, err := rowValues(rows, len(columns))
		if err != nil {
			return false, nil
		}
		_, err = tx.ExecContext(ctx, insert, values...)
		if isCorrupt(err) || isCode(err, codeBusy) {
			return false, err
		}
	}
	return rows.Err() == nil, nil
}

func rowValues(rows *sql.Rows, n int) ([]any, error) {
	values, targets := make([]any, n), make([]any, n)
	for i := range values {
		targets[i] = &values[i]
	}
	return values, rows.Scan(targets...)
}
