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
	// Migrations are files NNNN_name.sql, applied in the order of their names. The place of a file is the version that it leads to.
	// They only go forward.
	Migrations fs.FS
	// Before holds functions by the number of the migration that they run before, in the transaction of all migrations. In a new
	// database they find empty tables.
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

// progress is how far the migrations of a database have come.
type progress struct {
	versions          []int // of each schema
	isNew, isComplete bool
	isUnmarked        bool // as our first version was
}

// readProgress returns ErrForeign for a database that is not ours, and ErrNewer for one with migrations that this program lacks.
func readProgress(ctx context.Context, from querier, schemas []Schema) (p progress, err error) {
	var version, application, objects int
	err = from.QueryRowContext(ctx, `SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_user_version, pragma_application_id`).Scan(&version, &application, &objects)
	if err != nil {
		return p, err
	}
	p.isNew = version == 0 && application == 0 && objects == 0
	p.isUnmarked = version == 1 && application == 0
	if application != applicationID && !p.isNew && !p.isUnmarked {
		return p, ErrForeign
	}
	p.isComplete = application == applicationID
	for _, schema := range schemas {
		done, known := version%schemaBase, len(schema.names())
		if done > known {
			return p, ErrNewer
		}
		p.isComplete = p.isComplete && done == known
		p.versions = append(p.versions, done)
		version /= schemaBase
	}
	if version > 0 { // another schema
		return p, ErrNewer
	}
	return p, nil
}

// migrate brings a database to the known version in the transaction, whatever it is. There is no way back.
func migrate(ctx context.Context, tx *sql.Tx, schemas []Schema) error {
	found, err := readProgress(ctx, tx, schemas)
	if err != nil {
		return err
	}
	for i, schema := range schemas {
		done := found.versions[i]
		for n, name := range schema.names()[done:] {
			if before := schema.Before[done+n+1]; before != nil {
				if err := before(ctx, tx); err != nil {
					return err
				}
			}
			statements, err := fs.ReadFile(schema.Migrations, name)
			if err == nil {
				_, err = tx.ExecContext(ctx, string(statements))
			}
			if found.isUnmarked && isCode(err, codeError) { // our migrations do not fit
				return fmt.Errorf("%w: %w", ErrForeign, err)
			}
			if err != nil {
				return fmt.Errorf("migrate to %s: %w", name, err)
			}
		}
	}
	return mark(ctx, tx, schemas)
}

// mark writes the known version into a database.
func mark(ctx context.Context, tx *sql.Tx, schemas []Schema) error {
	version := 0
	for i := len(schemas) - 1; i >= 0; i-- {
		version = version*schemaBase + len(schemas[i].names())
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", version, applicationID))
	return err
}
