// Package migrations holds the schema of usage.db as numbered SQL files and applies them.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
)

//go:embed *.sql
var files embed.FS

// Version returns the schema version this binary knows: the number of its migrations.
func Version() int {
	return len(names())
}

// Apply brings a database from schema version `from` to version `to`, each step in a transaction
// of its own, so that a process killed between two leaves a version that a later run goes on
// from. point, a test signal, is called with "migrating-1" before the first commit and with
// "migrated-1" after it, and so on; nil is allowed.
//
// Two processes may migrate at once, when one of them did not wait for the write lock because
// its holder is stopped: the slower one finds the work done. There is no way back.
func Apply(ctx context.Context, db *sql.DB, from, to int, point func(name string)) error {
	if point == nil {
		point = func(string) {}
	}
	for i, name := range names() {
		version := i + 1
		if version <= from || version > to {
			continue
		}
		if err := apply(ctx, db, name, version, point); err != nil {
			return fmt.Errorf("migrate to schema %d: %w", version, err)
		}
		point(fmt.Sprintf("migrated-%d", version))
	}
	return nil
}

func apply(ctx context.Context, db *sql.DB, name string, version int, point func(string)) error {
	statements, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var present int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&present); err != nil || present >= version {
		return err
	}
	if _, err := tx.ExecContext(ctx, string(statements)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return err
	}
	point(fmt.Sprintf("migrating-%d", version))
	return tx.Commit()
}

// names returns the files in the order of their numbers; the number of a file is its place.
func names() []string {
	list, err := fs.Glob(files, "*.sql")
	if err != nil { // only a malformed pattern
		panic(err)
	}
	return list
}
