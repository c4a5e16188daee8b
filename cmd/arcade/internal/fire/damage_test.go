//go:build linux

package fire

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// damage is something that happens to an outbox with three events, of which the last one is
// only in the WAL.
type damage struct {
	do   func(m *machine) error
	kept int // events that have to survive it
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
		"the database lacks half a page": {do: cut("usage.db", 0.97)},
		"the database is missing":        {do: removing("usage.db")},
		"the WAL is missing":             {do: removing("usage.db-wal"), kept: 2},
		"the WAL is torn":                {do: cut("usage.db-wal", 0.7), kept: 2},
		"the WAL is another database's":  {do: foreignWAL}, // SQLite takes it for its own
		"the shared memory is garbage":   {do: garble("usage.db-shm", 0), kept: 3},
		"the mirror is missing":          {do: removing("usage.json"), kept: 3},
		"the mirror is cut":              {do: cut("usage.json", 0.5), kept: 3},
		"everything but the mirror is missing": {
			do: removing("usage.db", "usage.db-wal", "usage.db-shm", "usage.db.lock")},
		"the database is a link to what was moved": {do: linked, kept: 3},
		"the identity is lost":                     {do: changing(`DELETE FROM identities`), kept: 3},
		"the identity is somebody else's": {
			do: changing(`UPDATE identities SET anon_id = '00000000-0000-4000-8000-000000000000'`), kept: 3},
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

// linked moves the database to another disk, as people do, and leaves a link.
func linked(m *machine) (err error) {
	elsewhere := filepath.Join(m.Home, "elsewhere")
	err = os.Mkdir(elsewhere, 0o700)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err = errors.Join(err, os.Rename(m.Path("usage.db"+suffix), filepath.Join(elsewhere, "usage.db"+suffix)))
	}
	return errors.Join(err, os.Symlink(filepath.Join(elsewhere, "usage.db"), m.Path("usage.db")))
}

// changing runs a statement as somebody with a SQLite shell would, and so moves the WAL into the database.
func changing(statement string) func(m *machine) error {
	return func(m *machine) error {
		db, err := sql.Open("sqlite", "file:"+m.Path("usage.db")+"?_busy_timeout=5000")
		if err != nil {
			return err
		}
		_, err = db.Exec(statement)
		return errors.Join(err, db.Close())
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
			m.does(changing(`UPDATE delivery SET failures = failures`))
			m.Must("succeed")
			anonID := m.Inspect().Identity.AnonID
			m.does(d.do)
			m.unnoticed(succeeding, failing, succeeding)
			m.stays(anonID)
			if n := m.pending(); n < d.kept+3 {
				t.Errorf("%d events are pending, want %d that must survive and the 3 of the commands afterwards", n, d.kept)
			}
			m.arrives(d.kept + 3)
		})
	}
}

func (m *machine) does(something func(m *machine) error) {
	m.Helper()
	if err := something(m); err != nil {
		m.Fatal(err)
	}
}
