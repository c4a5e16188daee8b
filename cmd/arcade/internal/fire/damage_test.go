//go:build linux

package fire

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// damage is something that happens to an outbox with three events, of which the last one is
// only in the WAL.
type damage struct {
	do   func(m *machine) error
	kept int // events that have to survive it
	// lasting: it is not ours to mend, such as a directory where the database should be. undo
	// mends it.
	undo func(m *machine) error
}

func damages() map[string]damage {
	cut := func(name string, part float64) func(m *machine) error {
		return func(m *machine) error {
			info, err := os.Stat(m.Path(name))
			if err != nil {
				return err
			}
			return os.Truncate(m.Path(name), int64(float64(info.Size())*part))
		}
	}
	garble := func(name string, from float64) func(m *machine) error {
		return func(m *machine) error {
			content, err := os.ReadFile(m.Path(name))
			if err != nil {
				return err
			}
			at := int(float64(len(content)) * from)
			copy(content[at:], bytes.Repeat([]byte{0xAB}, len(content)-at))
			return os.WriteFile(m.Path(name), content, 0o600)
		}
	}
	return map[string]damage{
		"the database has 0 bytes":       {do: cut("usage.db", 0)},
		"the database is garbage":        {do: garble("usage.db", 0)},
		"the database is half garbage":   {do: garble("usage.db", 0.5)},
		"the database lacks a page":      {do: cut("usage.db", 0.95)},
		"the database lacks half a page": {do: cut("usage.db", 0.97)},
		"the database is missing":        {do: removing("usage.db")},
		"the WAL is missing":             {do: removing("usage.db-wal"), kept: 2},
		"the WAL is torn":                {do: cut("usage.db-wal", 0.7), kept: 2},
		"the WAL is empty":               {do: cut("usage.db-wal", 0), kept: 2},
		"the WAL is another database's":  {do: foreignWAL}, // SQLite takes it for its own
		"the WAL ends in garbage":        {do: garble("usage.db-wal", 0.8), kept: 2},
		"the WAL is garbage":             {do: garble("usage.db-wal", 0), kept: 2},
		"the shared memory is missing":   {do: removing("usage.db-shm"), kept: 3},
		"the shared memory is garbage":   {do: garble("usage.db-shm", 0), kept: 3},
		"the mirror is missing":          {do: removing("usage.json"), kept: 3},
		"the mirror is garbage":          {do: garble("usage.json", 0), kept: 3},
		"the mirror is cut":              {do: cut("usage.json", 0.5), kept: 3},
		"everything but the mirror is missing": {
			do: removing("usage.db", "usage.db-wal", "usage.db-shm", "usage.db.lock")},
		"the database is a link to what was moved": {do: linked, kept: 3},
		"a directory is in the database's place": {
			do: replaced("usage.db", func(at string) error { return os.Mkdir(at, 0o700) }), undo: putBack("usage.db"), kept: 3},
		"a link to nowhere is in the database's place": {
			do: replaced("usage.db", func(at string) error { return os.Symlink("/nowhere/at/all", at) }), undo: putBack("usage.db"), kept: 3},
		"a directory is in the lock's place": {
			do: replaced("usage.db.lock", func(at string) error { return os.Mkdir(at, 0o700) }), undo: putBack("usage.db.lock"), kept: 3},
		"a directory is in the mirror's place": {
			do: replaced("usage.json", func(at string) error { return os.Mkdir(at, 0o700) }), undo: putBack("usage.json"), kept: 3},
		"a newer version has migrated the database": {
			do: migrated("CREATE TABLE moods (mood TEXT)", 1), undo: migrated("DROP TABLE moods", -1), kept: 3},
	}
}

// foreignWAL puts the WAL of another home's database beside this one's.
func foreignWAL(m *machine) error {
	other := newMachine(m).unsent()
	other.Must("succeed")
	return os.WriteFile(m.Path("usage.db-wal"), []byte(other.ReadFile("usage.db-wal")), 0o600)
}

func removing(names ...string) func(m *machine) error {
	return func(m *machine) (err error) {
		for _, name := range names {
			err = errors.Join(err, os.Remove(m.Path(name)))
		}
		return err
	}
}

func replaced(name string, by func(at string) error) func(m *machine) error {
	return func(m *machine) error {
		return errors.Join(os.Rename(m.Path(name), m.Path(name+".moved")), by(m.Path(name)))
	}
}

func putBack(name string) func(m *machine) error {
	return func(m *machine) error {
		return errors.Join(os.Remove(m.Path(name)), os.Rename(m.Path(name+".moved"), m.Path(name)))
	}
}

// linked moves the database to another disk, as people do, and leaves a link.
func linked(m *machine) (err error) {
	elsewhere := filepath.Join(m.Home, "elsewhere")
	err = os.Mkdir(elsewhere, 0o700)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err = errors.Join(err, os.Rename(m.Path("usage.db"+suffix), filepath.Join(elsewhere, "usage.db"+suffix)))
	}
	return errors.Join(err, os.Symlink(filepath.Join(elsewhere, "usage.db"), m.Path("usage.db")))
}

// migrated changes the database as a version would that is newer by so many migrations.
func migrated(statement string, newer int) func(m *machine) error {
	return func(m *machine) error {
		version, err := strconv.Atoi(m.Query(`PRAGMA user_version`))
		if err != nil {
			return err
		}
		db, err := sql.Open("sqlite", "file:"+m.Path("usage.db")+"?_busy_timeout=5000")
		if err != nil {
			return err
		}
		_, err = db.Exec(statement + "; PRAGMA user_version = " + strconv.Itoa(version+newer))
		return errors.Join(err, db.Close())
	}
}

// change runs a statement as somebody with a SQLite shell would.
func (m *machine) change(statement string) {
	m.Helper()
	if err := migrated(statement, 0)(m); err != nil {
		m.Fatal(err)
	}
}

func TestTortureADamagedOutboxCostsNoCommandAndMendsItself(t *testing.T) {
	t.Parallel()
	for name, d := range damages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t).unsent()
			m.Must("succeed")
			m.Must("succeed")
			m.change(`UPDATE delivery SET failures = failures`) // closes, and so moves the WAL into the database
			m.Must("succeed")
			anonID := m.Inspect().Identity.AnonID
			if err := d.do(m); err != nil {
				t.Fatal(err)
			}
			m.unnoticed(succeeding, failing)
			added := 2
			if d.undo != nil {
				if err := d.undo(m); err != nil {
					t.Fatal(err)
				}
				added = 0 // some of these can be recorded into, some not
			}
			m.unnoticed(succeeding)
			m.stays(anonID)
			if n := m.pending(); n < d.kept+added+1 {
				t.Errorf("%d events are pending, want %d that must survive and the %d of the commands afterwards", n, d.kept, added+1)
			}
			m.arrives(d.kept + added + 1)
		})
	}
}

// usage.json is a copy of the identity for this, too.
func TestTortureAnIdentityThatIsLostComesBackFromTheMirror(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"all of it":   `DELETE FROM identities`,
		"its anon id": `UPDATE identities SET anon_id = '00000000-0000-4000-8000-000000000000'`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t).unsent()
			m.Must("succeed")
			anonID := m.Inspect().Identity.AnonID
			m.change(statement)
			m.unnoticed(succeeding)
			m.soundAs(anonID)
		})
	}
}
