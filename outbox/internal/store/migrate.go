package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
)

// migrate brings the database to the known version, in place.
func (s *Store) migrate(ctx context.Context, db *sql.DB, found head) error {
	versions, err := s.accept(ctx, db, found)
	if err != nil {
		return err
	}
	if found == s.current() {
		return nil
	}
	if join(versions) == s.known() {
		_, err := db.ExecContext(ctx, s.current().pragmas())
		return err
	}
	if found.version == 0 { // an empty file; both are kept for ever
		for _, pragma := range []string{"PRAGMA auto_vacuum = incremental", "PRAGMA journal_mode = wal"} {
			if _, err := db.ExecContext(ctx, pragma); err != nil {
				return err
			}
		}
		s.cfg.Point("initialized")
	}
	return s.apply(ctx, db, versions)
}

// apply brings each schema from its version on to the newest, each step in a transaction of its own,
// so that a process killed between two leaves a version that a later run goes on from. Two
// processes may be at it at once, when one of them did not get the lock: the slower one finds the
// work done. There is no way back.
func (s *Store) apply(ctx context.Context, db *sql.DB, versions []int) error {
	step := 0
	for i, schema := range s.cfg.Schemas {
		for n, name := range schema.names() {
			step++
			if n < versions[i] {
				continue
			}
			if err := s.applyOne(ctx, db, i, n+1, name, step); err != nil {
				return fmt.Errorf("migrate %s to version %d: %w", schema.Name, n+1, err)
			}
			s.cfg.Point(fmt.Sprintf("migrated-%d", step))
		}
	}
	return nil
}

func (s *Store) applyOne(ctx context.Context, db *sql.DB, schema, version int, name string, step int) error {
	statements, err := fs.ReadFile(s.cfg.Schemas[schema].Migrations, name)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var present int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&present); err != nil {
		return err
	}
	versions, ok := split(present, len(s.cfg.Schemas))
	if !ok || versions[schema] >= version {
		return nil
	}
	versions[schema] = version
	if _, err := tx.ExecContext(ctx, string(statements)); err != nil {
		return err
	}
	if _, err = tx.ExecContext(ctx, head{applicationID, join(versions)}.pragmas()); err != nil {
		return err
	}
	s.cfg.Point(fmt.Sprintf("migrating-%d", step))
	return tx.Commit()
}
