package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/ArcadeAI/arcade-cli/migrations"
)

// errForeign means that the file holds tables but no version of ours.
var errForeign = errors.New("the database is not this program's")

// isDamaged tells whether err came of damage to the database. Called with the write lock held.
func (o *Outbox) isDamaged(ctx context.Context, err error) bool {
	switch {
	case isCorrupt(err):
		return true
	case isCode(err, codeReadOnly):
		return o.hasUnknownFormat()
	default:
		return isSuspicious(err) && o.isUnsound(ctx)
	}
}

// smallSize is up to how many bytes a database, a queue of a thousand, is looked at in milliseconds.
const smallSize = 1 << 20

func (o *Outbox) isSmall() bool {
	info, err := os.Stat(o.cfg.Path)
	return err == nil && info.Size() <= smallSize
}

// Mend looks for damage that no statement has met yet, such as on a page of receipts, and replaces
// a database that has some. Nobody waits for the lock while it looks. No database is none that is
// damaged.
func (o *Outbox) Mend(ctx context.Context) error {
	if !o.isUnsound(ctx) {
		return nil
	}
	return o.WithLock(ctx, func() error {
		switch {
		case o.lock == nil:
			return fmt.Errorf("the database is damaged: %w", errLocked)
		case !o.isUnsound(ctx): // somebody else has mended it
			return nil
		default:
			return o.replaceCorrupt(ctx)
		}
	})
}

// isSuspicious tells whether err can come of damage that SQLite does not notice. Our statements
// are constants, and tested against the migrations: a sound database understands each of them,
// and takes what they write. But a mistake of ours looks the same, and so does a database that a
// newer binary or somebody else has made, so the database is asked.
func isSuspicious(err error) bool {
	return isCode(err, codeError) || isCode(err, codeTooBig) || isCode(err, codeConstraint) || isCode(err, codeMismatch) ||
		errors.Is(err, ErrNewer) || errors.Is(err, errForeign)
}

// isUnsound tells whether the database is one of ours, and not as it was written.
func (o *Outbox) isUnsound(ctx context.Context) bool {
	db, err := o.connect()
	if err != nil {
		return false
	}
	defer db.Close()
	found, err := readSchema(ctx, db)
	if err != nil {
		return isCorrupt(err) || isCode(err, codeError)
	}
	known := migrations.Version()
	claimed, err := schemaOf(ctx, min(max(found.version, 0), known))
	switch {
	case err != nil:
		return false
	case slices.Equal(found.objects, claimed.objects): // each migration changes some
		return found.version != claimed.version || !isIntact(ctx, db)
	case found.version > known:
		return false
	default:
		ours, err := schemaOf(ctx, known)
		return err == nil && found.resembles(ours)
	}
}

// schema is a version, and the tables and indexes that it stands for.
type schema struct {
	version int
	objects []string
}

// readSchema reads both in one statement: another process may be migrating.
func readSchema(ctx context.Context, db *sql.DB) (s schema, err error) {
	rows, err := db.QueryContext(ctx, `
		SELECT user_version, coalesce(type || ' ' || name || ' ' || tbl_name || ' ' || rootpage || coalesce(' ' || sql, ''), '')
		FROM pragma_user_version LEFT JOIN sqlite_schema`)
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		var object string
		if err := rows.Scan(&s.version, &object); err != nil {
			return s, err
		}
		if object != "" {
			s.objects = append(s.objects, object)
		}
	}
	return s, rows.Err()
}

// schemaOf returns what the migrations make of an empty database.
func schemaOf(ctx context.Context, version int) (s schema, err error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return s, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := initialize(ctx, db); err != nil {
		return s, err
	}
	if err := migrations.Apply(ctx, db, 0, version, nil); err != nil {
		return s, err
	}
	return readSchema(ctx, db)
}

// resembles tells whether something of ours is left, or nothing at all: what is damaged differs
// in a place or two. SQLite's own tables are in everybody's databases.
func (s schema) resembles(ours schema) bool {
	if len(s.objects) == 0 {
		return true
	}
	return slices.ContainsFunc(s.objects, func(object string) bool {
		return slices.Contains(ours.objects, object) && !strings.Contains(object, " sqlite_")
	})
}

func isIntact(ctx context.Context, db *sql.DB) bool {
	var found string
	err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found)
	return found == "ok" || err != nil && !isCorrupt(err)
}

// hasUnknownFormat tells whether the header claims a format for writers that does not exist
// (https://www.sqlite.org/fileformat.html, offset 18): SQLite then only reads. The database must
// not be open, see syncFile.
func (o *Outbox) hasUnknownFormat() bool {
	o.Close()
	file, err := os.Open(o.cfg.Path)
	if err != nil {
		return false
	}
	defer file.Close()
	format := make([]byte, 1)
	_, err = file.ReadAt(format, 18)
	return err == nil && format[0] > 2
}
