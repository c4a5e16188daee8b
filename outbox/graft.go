package outbox

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"

	"github.com/ArcadeAI/arcade-cli/migrations"
)

// graftSuffix names the copy that is read in place of a damaged database. It counts as set
// aside, so that a copy whose maker was killed is removed with the rest.
const graftSuffix = asideInfix + "copy"

// pageSize is SQLite's default, in bytes; we set no other.
const pageSize = 4096

// openGrafted opens a copy of the damaged database that has the first page of a sound one, fresh.
//
// The first page holds the header and the schema. A single flipped bit in it can make every row
// unreadable, and it is the one page that needs not be read: in each database that the migrations
// have made it says the same, down to the pages at which the tables begin. auto_vacuum keeps
// those where they are.
func (o *Outbox) openGrafted(ctx context.Context, fresh string) (*sql.DB, error) {
	path := o.cfg.Path + graftSuffix
	for _, suffix := range []string{"", "-wal"} {
		if err := copyFile(o.cfg.Path+suffix, path+suffix); err != nil {
			return nil, err
		}
	}
	db, err := o.graftAndOpen(fresh, path)
	if err != nil || hasOurSchema(ctx, db) {
		return db, err
	}
	// The WAL brings a first page of its own along.
	if err := errors.Join(db.Close(), mergeWAL(ctx, path)); err != nil {
		return nil, err
	}
	return o.graftAndOpen(fresh, path)
}

func (o *Outbox) graftAndOpen(fresh, path string) (*sql.DB, error) {
	if err := graft(fresh, path); err != nil {
		return nil, err
	}
	return connect(path, o.cfg.BusyWait)
}

func hasOurSchema(ctx context.Context, db *sql.DB) bool {
	found, err := readSchema(ctx, db)
	if err != nil {
		return false
	}
	ours, err := schemaOf(ctx, migrations.Version())
	return err == nil && slices.Equal(found.objects, ours.objects)
}

// copyFile copies what is a file: nobody knows what a database was replaced by.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// graft puts the first page of the database fresh in the place of that of the one at path. The
// number of pages that it tells (offset 28) is made to count for nothing by what says whether it
// counts (92): SQLite then asks the file. That there are no free pages is no lie to a reader. A
// copy that is shorter than the fresh database, where each table has its first page, is filled
// up: SQLite refuses a schema that points behind the end.
func graft(fresh, path string) error {
	content, err := os.ReadFile(fresh)
	if err != nil {
		return err
	}
	if len(content) < pageSize {
		return io.ErrUnexpectedEOF
	}
	content[92] ^= 0xff
	target, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = target.WriteAt(content[:pageSize], 0)
	info, statErr := target.Stat()
	if err = errors.Join(err, statErr); err == nil && info.Size() < int64(len(content)) {
		err = target.Truncate(int64(len(content)))
	}
	return errors.Join(err, target.Close())
}

// mergeWAL moves the WAL into the database, whatever schema it brings along.
func mergeWAL(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", fileURI(path, url.Values{"mode": {"rw"}, "_pragma": {"writable_schema(1)"}}))
	if err != nil {
		return err
	}
	// An error costs the messages in the WAL, not those in the database.
	_, _ = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return errors.Join(db.Close(), removeFiles(path, "-wal", "-shm"))
}
