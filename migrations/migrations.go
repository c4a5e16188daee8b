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

// Apply brings a database from schema version `from` to Version, each step in a transaction
// of its own, so that a process killed between two leaves a version that a later run goes on
// from. reached is called with the version after each commit; nil is allowed.
//
// Called with the write lock held: two processes must not migrate at once. There is no way back.
func Apply(ctx context.Context, db *sql.DB, from int, reached func(version int)) error {
	for i, name := range names() {
		version := i + 1
		if version <= from {
			continue
		}
		if err := apply(ctx, db, name, version); err != nil {
			return fmt.Errorf("migrate to schema %d: %w", version, err)
		}
		if reached != nil {
			reached(version)
		}
	}
	return nil
}

func apply(ctx context.Context, db *sql.DB, name string, version int) error {
	statements, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, string(statements)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return err
	}
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
