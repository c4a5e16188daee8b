package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Schema is a set of tables with a version of its own.
type Schema struct {
	Name string // in messages
	// Migrations are files NNNN_name.sql, applied in the order of their names. The place of a file is the version that it leads to.
	// They only go forward.
	Migrations fs.FS
	// Before are functions that run before the migration of a number, in the transaction of all of them: in a new database on
	// empty tables. They run again on the rows that are carried over from a damaged database of an earlier version.
	Before map[int]func(ctx context.Context, tx *sql.Tx) error
}

// applicationID marks a database as ours ("OBOX"), https://www.sqlite.org/pragma.html#pragma_application_id.
const applicationID = 0x4f424f58

// schemaBase packs the versions of two schemas into SQLite's one user_version.
const schemaBase = 1000

func (s Schema) names() []string {
	if s.Migrations == nil {
		return nil
	}
	names, err := fs.Glob(s.Migrations, "*.sql")
	if err != nil { // only a malformed pattern
		panic(err)
	}
	return names
}

// Check returns an error when a file's place is not its number, or when there is none at all.
func (s Schema) Check() error {
	names := s.names()
	if len(names) == 0 {
		return errors.New("there is no file 0001_NAME.sql at the top of the file system")
	}
	for i, name := range names {
		if want := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(name, want) {
			return fmt.Errorf("the file %s stands where %sNAME.sql belongs", name, want)
		}
	}
	return nil
}

// head is what a database says of itself.
type head struct {
	application, version int
}

// complete is the head of a database with all migrations.
func complete(schemas []Schema) head {
	h := head{application: applicationID}
	for i := len(schemas) - 1; i >= 0; i-- {
		h.version = h.version*schemaBase + len(schemas[i].names())
	}
	return h
}

// versions takes a version apart; known is false when it holds more than n schemas.
func (h head) versions(n int) (versions []int, known bool) {
	rest := h.version
	for range n {
		versions = append(versions, rest%schemaBase)
		rest /= schemaBase
	}
	return versions, rest == 0
}

func (h head) write(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", h.version, h.application))
	return err
}

func readHead(ctx context.Context, from querier) (h head, err error) {
	if err := from.QueryRowContext(ctx, "PRAGMA user_version").Scan(&h.version); err != nil {
		return h, err
	}
	err = from.QueryRowContext(ctx, "PRAGMA application_id").Scan(&h.application)
	return h, err
}

// isUnmarked reports whether the head may be that of our first version, which bore no mark.
func (h head) isUnmarked() bool { return h.application == 0 && h.version == 1 }

// accept returns the versions of a database that is empty, or ours and no newer than this program.
func accept(ctx context.Context, from querier, found head, schemas []Schema) ([]int, error) {
	versions, known := found.versions(len(schemas))
	if found == (head{}) {
		var objects int
		if err := from.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&objects); err != nil {
			return nil, err
		}
		if objects > 0 {
			return nil, ErrForeign
		}
		return versions, nil
	}
	switch {
	case found.application != applicationID && !found.isUnmarked():
		return nil, ErrForeign
	case !known:
		return nil, fmt.Errorf("%w (it has tables that this version does not know)", ErrNewer)
	}
	for i, schema := range schemas {
		if known := len(schema.names()); versions[i] > known {
			return nil, fmt.Errorf("%w (its %s schema is %d, this version knows %d)", ErrNewer, schema.Name, versions[i], known)
		}
	}
	return versions, nil
}

// viewable returns why a database cannot be read, or nil.
func viewable(ctx context.Context, from querier, schemas []Schema) error {
	found, err := readHead(ctx, from)
	if err != nil || found == complete(schemas) {
		return err
	}
	if _, err := accept(ctx, from, found, schemas); err != nil {
		return err
	}
	if found.version == 0 {
		return ErrNone
	}
	return ErrOlder
}

// migrate brings a database to the known version in the transaction, whatever it is. There is no way back.
func migrate(ctx context.Context, tx *sql.Tx, schemas []Schema) error {
	found, err := readHead(ctx, tx)
	if err != nil {
		return err
	}
	versions, err := accept(ctx, tx, found, schemas)
	if err != nil {
		return err
	}
	for i, schema := range schemas {
		for version := versions[i] + 1; version <= len(schema.names()); version++ {
			err := schema.migrateTo(ctx, tx, version)
			if found.isUnmarked() && isCode(err, codeError) { // our migrations do not fit
				return fmt.Errorf("%w: %w", ErrForeign, err)
			}
			if err != nil {
				return fmt.Errorf("migrate %s to version %d: %w", schema.Name, version, err)
			}
		}
	}
	return complete(schemas).write(ctx, tx)
}

func (s Schema) migrateTo(ctx context.Context, tx *sql.Tx, version int) error {
	if err := s.runBefore(ctx, tx, version); err != nil {
		return err
	}
	statements, err := fs.ReadFile(s.Migrations, s.names()[version-1])
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, string(statements))
	return err
}

func (s Schema) runBefore(ctx context.Context, tx *sql.Tx, version int) error {
	if before := s.Before[version]; before != nil {
		return before(ctx, tx)
	}
	return nil
}

// runMissed runs, on the rows carried over from a damaged database, the functions that its version has not run.
func runMissed(ctx context.Context, tx *sql.Tx, schemas []Schema, found head) error {
	versions, known := found.versions(len(schemas))
	if !known || found.version == 0 { // not to be believed, or not read
		return nil
	}
	for i, schema := range schemas {
		for version := versions[i] + 1; version <= len(schema.names()); version++ {
			if err := schema.runBefore(ctx, tx, version); err != nil {
				return err
			}
		}
	}
	return nil
}
