//go:build linux

package main

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/migrations"
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
			info, err := os.Stat(m.path(name))
			if err != nil {
				return err
			}
			return os.Truncate(m.path(name), int64(float64(info.Size())*part))
		}
	}
	garble := func(name string, from float64) func(m *machine) error {
		return func(m *machine) error {
			content, err := os.ReadFile(m.path(name))
			if err != nil {
				return err
			}
			at := int(float64(len(content)) * from)
			copy(content[at:], bytes.Repeat([]byte{0xAB}, len(content)-at))
			return os.WriteFile(m.path(name), content, 0o600)
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
			do: migrated("CREATE TABLE moods (mood TEXT)", migrations.Version()+1), undo: migrated("DROP TABLE moods", migrations.Version()), kept: 3},
	}
}

func removing(names ...string) func(m *machine) error {
	return func(m *machine) (err error) {
		for _, name := range names {
			err = errors.Join(err, os.Remove(m.path(name)))
		}
		return err
	}
}

func replaced(name string, by func(at string) error) func(m *machine) error {
	return func(m *machine) error {
		return errors.Join(os.Rename(m.path(name), m.path(name+".moved")), by(m.path(name)))
	}
}

func putBack(name string) func(m *machine) error {
	return func(m *machine) error {
		return errors.Join(os.Remove(m.path(name)), os.Rename(m.path(name+".moved"), m.path(name)))
	}
}

// linked moves the database to another disk, as people do, and leaves a link.
func linked(m *machine) (err error) {
	elsewhere := filepath.Join(m.home, "elsewhere")
	err = os.Mkdir(elsewhere, 0o700)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err = errors.Join(err, os.Rename(m.path("usage.db"+suffix), filepath.Join(elsewhere, "usage.db"+suffix)))
	}
	return errors.Join(err, os.Symlink(filepath.Join(elsewhere, "usage.db"), m.path("usage.db")))
}

func migrated(statement string, v int) func(m *machine) error {
	return func(m *machine) error {
		db, err := sql.Open("sqlite", "file:"+m.path("usage.db")+"?_busy_timeout=5000")
		if err != nil {
			return err
		}
		_, err = db.Exec(statement + "; PRAGMA user_version = " + strconv.Itoa(v))
		return errors.Join(err, db.Close())
	}
}

func TestTortureADamagedOutboxCostsNoCommandAndMendsItself(t *testing.T) {
	for name, d := range damages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t).unsent()
			m.must("succeed")
			m.must("succeed")
			m.must("usage", "enable") // closes, and so moves the WAL into the database
			m.must("succeed")
			anonID := m.inspect().Identity.AnonID
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
			m.soundAs(anonID)
			if n := m.pending(); n < d.kept+added+1 {
				t.Errorf("%d events are pending, want %d that must survive and the %d of the commands afterwards", n, d.kept, added+1)
			}
			m.arrives(d.kept + added + 1)
		})
	}
}

func TestTortureAFileBehindALinkIsLeftAlone(t *testing.T) {
	m := newMachine(t)
	letter := filepath.Join(m.home, "letter.txt")
	content := strings.Repeat("Dear Ada, this is no database. ", 1000)
	if err := errors.Join(os.Mkdir(m.path(""), 0o700), os.WriteFile(letter, []byte(content), 0o600), os.Symlink(letter, m.path("usage.db"))); err != nil {
		t.Fatal(err)
	}
	m.unnoticed(succeeding, failing)
	if got, err := os.ReadFile(letter); err != nil || string(got) != content {
		t.Errorf("somebody's file was changed: %d bytes, %v", len(got), err)
	}
	if n := len(m.awaitEvents(2, 15*time.Second)); n != 2 {
		t.Errorf("PostHog has %d events, want 2: the link is set aside", n)
	}
}

func TestTortureAReplacementThatIsKilledLosesNothing(t *testing.T) {
	for _, point := range []string{"created", "initialized", "migrating-1", "migrated-1", "before-commit", "grafted", "salvaged", "set-aside"} {
		t.Run(point, func(t *testing.T) {
			m := newMachine(t).unsent()
			for range 3 {
				m.must("succeed")
			}
			m.must("usage", "enable")
			anonID, before := m.inspect().Identity.AnonID, m.pending()
			m.breakIndex()
			m.traced().with(testKillAt + "=" + point).run("succeed")
			m.unnoticed(succeeding)
			m.soundAs(anonID)
			if n := m.pending(); n < before+1 {
				t.Errorf("%d events are pending after a kill at %s, want %d and the new one", n, point, before)
			}
			if lines := m.trace(); lines[len(lines)-1].what != "exit" {
				t.Errorf("the last process ended with %q", lines[len(lines)-1].what)
			}
		})
	}
}

// breakIndex damages the root page of the index that every insert writes to; the rows are whole.
func (m *machine) breakIndex() {
	m.Helper()
	page, err := strconv.Atoi(m.query(`SELECT rootpage FROM sqlite_schema WHERE name = 'messages_state'`))
	if err != nil {
		m.Fatal(err)
	}
	size, err := strconv.Atoi(m.query(`PRAGMA page_size`))
	if err != nil {
		m.Fatal(err)
	}
	file, err := os.OpenFile(m.path("usage.db"), os.O_WRONLY, 0)
	if err != nil {
		m.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(bytes.Repeat([]byte{0xAB}, size), int64((page-1)*size)); err != nil {
		m.Fatal(err)
	}
}

// Who replaces a database may be stopped with the lock in hand, like everybody else. Damage that
// is in nobody's way lets the others record meanwhile.
func TestTortureAStoppedReplacementLosesNothing(t *testing.T) {
	for _, point := range []string{"grafted", "salvaged"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.unsent().must("succeed")
			m.recordInBulk(300, 0)
			m.must("usage", "flush")
			m.damagePageOf(`{"n":150}`) // of receipts
			flusher := m.startStopped(point, m.command("usage", "flush", "--detached"))
			for range 2 {
				m.unsent().must("succeed")
			}
			flusher.resume()
			m.must("succeed")
			m.awaitNoFlusher()
			m.must("usage", "flush")
			if n := len(m.posthog.Events()); n != 304 {
				t.Errorf("PostHog has %d events, want 304: two were recorded while a process was stopped at %s", n, point)
			}
			m.noViolations()
			m.sound()
		})
	}
}

// usage.json is a copy of the identity for this, too.
func TestTortureAnIdentityThatIsLostComesBackFromTheMirror(t *testing.T) {
	for name, statement := range map[string]string{
		"all of it":                     `DELETE FROM identities`,
		"its anon id but for the index": "",
		"its anon id":                   `UPDATE identities SET anon_id = '00000000-0000-4000-8000-000000000000'`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t).unsent()
			m.must("succeed")
			anonID := m.inspect().Identity.AnonID
			if statement == "" {
				m.must("usage", "enable") // moves the WAL into the database
				m.garble(anonID, "identities")
			} else if err := migrated(statement, migrations.Version())(m); err != nil {
				t.Fatal(err)
			}
			m.unnoticed(succeeding)
			m.soundAs(anonID)
		})
	}
}

// garble loses a bit of a text in the database, at its first place in a table or in the schema.
func (m *machine) garble(text, table string) {
	m.Helper()
	root, err := strconv.Atoi(m.query(`SELECT coalesce(max(rootpage), 1) FROM sqlite_schema WHERE name = ?`, table))
	if err != nil {
		m.Fatal(err)
	}
	content, from := []byte(m.readFile("usage.db")), (root-1)*page
	at := bytes.Index(content[from:], []byte(text))
	if at < 0 {
		m.Fatalf("%q is not in %s", text, table)
	}
	content[from+at+len(text)-1] ^= 1
	if err := os.WriteFile(m.path("usage.db"), content, 0o600); err != nil {
		m.Fatal(err)
	}
}

// One of a crowd replaces the database; those that had the old one open go over to the new one.
func TestTortureCrowdOnADamagedDatabase(t *testing.T) {
	n := 40
	if _, long := rounds(t, 0); long {
		n = 200
	}
	for name, spoil := range map[string]func(m *machine){
		"its schema": func(m *machine) { m.garble("CREATE TABLE messages", "") },
		"an index":   (*machine).breakIndex,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			m.unsent().must("succeed")
			m.recordInBulk(300, 0)
			spoil(m)
			c := m.gather(n)
			c.log()
			c.all()
			c.settled(301)
		})
	}
}
