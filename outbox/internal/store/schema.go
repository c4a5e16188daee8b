package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Schema is a set of tables with a version of its own.
type Schema struct {
	Name string // in messages
	// Migrations are files NNNN_name.sql, applied in the order of their names. The place of a file
	// is the version that it leads to. They only go forward.
	Migrations fs.FS
}

// applicationID marks a database as ours ("OBOX"), https://www.sqlite.org/pragma.html#pragma_application_id.
const applicationID = 0x4f424f58

// The versions of two schemas share SQLite's user_version.
const (
	schemaBase = 1000
	maxSchemas = 2
)

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

// Check returns an error when there is a file whose place is not its number, or none at all.
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

// known is the user_version of a database with all migrations.
func (s *Store) known() int {
	versions := make([]int, len(s.cfg.Schemas))
	for i, schema := range s.cfg.Schemas {
		versions[i] = len(schema.names())
	}
	return join(versions)
}

func join(versions []int) (version int) {
	for i := len(versions) - 1; i >= 0; i-- {
		version = version*schemaBase + versions[i]
	}
	return version
}

// split takes a user_version apart; ok is false when it speaks of more schemas than n.
func split(version, n int) (versions []int, ok bool) {
	for range n {
		versions = append(versions, version%schemaBase)
		version /= schemaBase
	}
	return versions, version == 0
}

// head is what a database says of itself.
type head struct {
	application, version int
}

func (s *Store) current() head { return head{applicationID, s.known()} }

func (h head) pragmas() string {
	return fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", h.version, h.application)
}

func readHead(ctx context.Context, db *sql.DB) (h head, err error) {
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&h.version); err != nil {
		return h, err
	}
	err = db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&h.application)
	return h, err
}

// accept returns the versions of a database that is ours, or is empty.
func (s *Store) accept(ctx context.Context, db *sql.DB, found head) ([]int, error) {
	if len(s.cfg.Schemas) > maxSchemas {
		return nil, errTooMany
	}
	versions, newer := s.notNewer(found)
	if newer == nil && found != s.current() && s.isComplete(ctx, db) { // damage to no more than the header
		versions, _ = split(s.known(), len(s.cfg.Schemas))
		return versions, nil
	}
	if found.application == applicationID {
		return versions, newer
	}
	if found.application != 0 {
		return nil, ErrForeign
	}
	objects, err := objectsOf(ctx, db)
	if err != nil {
		return nil, err
	}
	if found.version == 0 && len(objects) == 0 {
		return make([]int, len(s.cfg.Schemas)), nil
	}
	// The first version of our databases bears no mark; its own tables are there by name.
	if newer != nil || found.version != 1 {
		return nil, ErrForeign
	}
	own, err := s.ownObjects(ctx, versions)
	if err != nil {
		return nil, err
	}
	if !isSubset(own, objects) {
		return nil, ErrForeign
	}
	return versions, nil
}

func (s *Store) notNewer(found head) ([]int, error) {
	versions, ok := split(found.version, len(s.cfg.Schemas))
	if !ok {
		return nil, fmt.Errorf("%w (it has tables that this version does not know)", ErrNewer)
	}
	for i, schema := range s.cfg.Schemas {
		if known := len(schema.names()); versions[i] > known {
			return nil, fmt.Errorf("%w (its %s schema is %d, this version knows %d)", ErrNewer, schema.Name, versions[i], known)
		}
	}
	return versions, nil
}

// viewable tells why a database cannot be looked at, if so.
func (s *Store) viewable(ctx context.Context, db *sql.DB, found head) error {
	versions, err := s.accept(ctx, db, found)
	switch {
	case err != nil:
		return err
	case join(versions) == s.known():
		return nil
	case found.version == 0:
		return ErrNone
	default:
		return ErrOlder
	}
}

// objectsOf returns the tables and indexes by name. SQLite's own are in everybody's databases.
func objectsOf(ctx context.Context, db *sql.DB) ([]string, error) {
	return texts(ctx, db, `SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
}

// isComplete tells whether the database has the tables and indexes of all migrations and no others.
func (s *Store) isComplete(ctx context.Context, db *sql.DB) bool {
	versions, _ := split(s.known(), len(s.cfg.Schemas))
	reference, err := s.reference(ctx, versions)
	if err != nil {
		return false
	}
	defer reference.Close()
	const query = `SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1`
	want, err := texts(ctx, reference, query)
	found, foundErr := texts(ctx, db, query)
	return err == nil && foundErr == nil && slices.Equal(found, want)
}

// ownObjects returns what the migrations up to the given versions make.
func (s *Store) ownObjects(ctx context.Context, versions []int) ([]string, error) {
	db, err := s.reference(ctx, versions)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return objectsOf(ctx, db)
}

// reference is an empty database with the migrations up to the given versions.
func (s *Store) reference(ctx context.Context, versions []int) (*sql.DB, error) {
	db, err := connectTo(":memory:")
	if err != nil {
		return nil, err
	}
	for i, schema := range s.cfg.Schemas {
		for _, name := range schema.names()[:versions[i]] {
			statements, err := fs.ReadFile(schema.Migrations, name)
			if err == nil {
				_, err = db.ExecContext(ctx, string(statements))
			}
			if err != nil {
				db.Close()
				return nil, err
			}
		}
	}
	return db, nil
}

func isSubset(some, all []string) bool {
	return !slices.ContainsFunc(some, func(one string) bool { return !slices.Contains(all, one) })
}
