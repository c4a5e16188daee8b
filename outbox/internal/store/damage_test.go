package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

func TestADamagedDatabaseIsSetAsideAndWhatIsReadableGoesOn(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(b *bench)
		kept   int // of 1000, at least
	}{
		"garbage in a page of the middle": {func(b *bench) { b.damage(500) }, 980},
		"garbage in the first page":       {func(b *bench) { b.damage(0) }, 980},
		"garbage in the last page":        {func(b *bench) { b.damage(999) }, 980},
		"garbage in the header": {func(b *bench) {
			b.overwrite(append(bytes.Repeat([]byte{0xAB}, 100), b.content()[100:]...))
		}, 1000},
		"garbage in the page with the schema": {func(b *bench) {
			b.overwrite(append(bytes.Repeat([]byte{0xAB}, 4096), b.content()[4096:]...))
		}, 1000},
		"a table that the schema has lost": {func(b *bench) {
			b.overwrite(bytes.Replace(b.content(), []byte("CREATE TABLE notes"), []byte("CREATE TABLE notez"), 1))
		}, 1000},
		"cut in half":           {func(b *bench) { b.overwrite(b.content()[:len(b.content())/2]) }, 0},
		"cut inside the header": {func(b *bench) { b.overwrite(b.content()[:50]) }, 0},
		"cut to nothing":        {func(b *bench) { b.overwrite(nil) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.fill(1000)
			test.damage(b)
			b.write(readAll)
			b.write(note("after"))
			n, _ := strconv.Atoi(b.one(`SELECT count(*) FROM notes`))
			if n-1 < test.kept {
				t.Errorf("%d of 1000 notes went on, want at least %d", n-1, test.kept)
			}
			b.isSound()
		})
	}
}

// Only a version that is too high is believed.
func TestAChangedHeaderCostsNothing(t *testing.T) {
	const version = 60 // its place, in bytes; by the 2 in the last of them it is of an earlier one
	whole := newBench(t)
	whole.fill(20)
	for at, value := range whole.content()[:108] { // the header, and that of the page's tree
		for _, changed := range []byte{value ^ 1, value ^ 2, value ^ 0x80} {
			if at >= version && at < version+4 && (at < version+3 || changed != value^2) {
				continue
			}
			b := newBench(t)
			content := whole.content()
			content[at] = changed
			b.overwrite(content)
			b.write(readAll)
			b.write(note("after"))
			if n := b.one(`SELECT count(*) FROM notes`); n != "21" {
				t.Errorf("byte %d is %d and not %d: %s of 21 notes are left", at, changed, value, n)
			}
		}
	}
}

func TestAReplacementThatDiesHalfwayIsFinishedByTheNextProcess(t *testing.T) {
	for _, point := range []string{"created", "migrating-2", "migrated-3", "salvaged", "set-aside"} {
		t.Run(point, func(t *testing.T) {
			b := newBench(t)
			b.fill(300)
			b.damage(150)
			if err := b.child(point); err == nil {
				t.Fatal("the point was never reached")
			}
			b.write(readAll)
			if n, _ := strconv.Atoi(b.one(`SELECT count(*) FROM notes`)); n < 280 || n >= 300 {
				t.Errorf("%d of 300 notes are left after a process died at %s, want all but those of the damaged page", n, point)
			}
			b.isSound()
			if left := append(b.beside(".new"), b.beside(".making")...); len(left) != 0 {
				t.Errorf("%v is left of a process that died at %s", left, point)
			}
		})
	}
}

func TestOneCopyOfADamagedDatabaseIsKeptUntilItIsErased(t *testing.T) {
	b := newBench(t)
	now := time.Now()
	b.s = b.open(store.Config{Now: func() time.Time { return now }})
	b.fill(100)
	for day := range 3 {
		b.damage(70 - 30*day)
		b.write(readAll)
		if aside := b.aside(); len(aside) != 1 {
			t.Errorf("%v are set aside on day %d, want one database, or bad days fill the disk", aside, day+1)
		}
		now = now.Add(24 * time.Hour)
	}
	if err := b.s.RemoveAside(); err != nil {
		t.Fatal(err)
	}
	if left := b.beside(".corrupt-"); len(left) != 0 {
		t.Errorf("%v still hold what the user has erased", left)
	}
}

func TestWhatTheReplacementKeeps(t *testing.T) {
	b := newBench(t)
	b.fill(300)
	b.exec(`UPDATE counter SET n = 7; INSERT INTO tags VALUES ('red'), ('green');
		INSERT INTO notes (seq, text) VALUES (5000, 'gone'); DELETE FROM notes WHERE seq = 5000;
		CREATE TABLE letters (text TEXT); INSERT INTO letters VALUES ('dear'), ('dear');
		CREATE INDEX letters_text ON letters (text); CREATE VIEW short AS SELECT text FROM notes;
		ALTER TABLE notes ADD COLUMN mood TEXT`)
	b.damage(150)
	b.write(readAll)
	for query, want := range map[string]string{
		`SELECT n FROM counter`:                                                      "7",
		`SELECT group_concat(name) FROM tags`:                                        "green,red",
		`SELECT seq FROM sqlite_sequence WHERE name = 'notes'`:                       "5000",
		`SELECT count(*) FROM letters`:                                               "2",
		`SELECT count(*) FROM sqlite_schema WHERE name IN ('letters_text', 'short')`: "2",
		`SELECT text LIKE '<299>%' FROM notes WHERE seq = 300`:                       "1",
	} {
		if got := b.one(query); got != want {
			t.Errorf("%s gives %s, want %s: it was whole", query, got, want)
		}
	}
	b.isSound()
}

// Somebody's index, statistics and tables lie in the same file.
func TestWhatOthersAddIsNoDamage(t *testing.T) {
	b := newBench(t)
	b.fill(50)
	b.exec(`CREATE TABLE letters (n INTEGER CHECK (n < 10)); CREATE INDEX mine ON notes (seq, text); ANALYZE;
		PRAGMA ignore_check_constraints = on; INSERT INTO letters VALUES (11);
		ALTER TABLE notes ADD COLUMN mood TEXT; VACUUM`)
	if err := b.s.Mend(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := b.s.Write(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`SELECT nothing FROM nowhere`)
		return err
	}); err == nil {
		t.Error("a statement with a mistake gives no error")
	}
	if aside := b.aside(); len(aside) != 0 {
		t.Errorf("%v is set aside", aside)
	}
	if n := b.one(`SELECT count(*) FROM sqlite_schema WHERE name IN ('letters', 'mine', 'sqlite_stat1')`); n != "3" {
		t.Errorf("%s of 3 things that somebody added are left", n)
	}
}

func TestDamageThatNoStatementMeetsIsMended(t *testing.T) {
	for name, damage := range map[string]func(b *bench){
		"a page":       func(b *bench) { b.damage(150) },
		"a lost index": func(b *bench) { b.exec(`DROP INDEX notes_text`) },
		"a lost table": func(b *bench) { b.exec(`DROP TABLE tags`) },
		"an index's row": func(b *bench) {
			b.edit(indexPage, 150, func(page []byte) { page[bytes.Index(page, []byte("<150>"))+1] = '9' })
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fill(300)
			damage(b)
			if err := b.s.Mend(context.Background()); err != nil {
				t.Fatal(err)
			}
			b.write(readAll)
			b.isSound()
			if n := b.one(`SELECT count(*) FROM sqlite_schema WHERE name IN ('notes_text', 'tags')`); n != "2" {
				t.Errorf("%s of our 2 things are there", n)
			}
			if aside := b.aside(); len(aside) != 1 {
				t.Errorf("%v is set aside, want the damaged database", aside)
			}
		})
	}
}

func TestATableThatIsMissedIsDamage(t *testing.T) {
	b := newBench(t)
	b.fill(20)
	b.exec(`DROP TABLE tags`)
	b.write(func(tx *sql.Tx) error { _, err := tx.Exec(`INSERT INTO tags VALUES ('red')`); return err })
	if n := b.one(`SELECT count(*) FROM notes`); n != "20" {
		t.Errorf("%s of 20 notes are left", n)
	}
}

func TestMendingNothingMakesNothing(t *testing.T) {
	b := newBench(t)
	if err := b.s.Mend(context.Background()); err != nil || len(b.beside("")) != 0 {
		t.Errorf("mending no database gives %v and %v, want nothing", err, b.beside(""))
	}
}

func TestLookingAtDamageSaysSo(t *testing.T) {
	b := newBench(t)
	b.fill(3)
	b.overwrite(bytes.Repeat([]byte{0xAB}, 8192))
	if err := b.s.View(context.Background(), readAll); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("looking at a damaged database gives %v, want ErrDamaged", err)
	}
}

func TestADiskThatIsFullOnlyFails(t *testing.T) {
	b := newBench(t)
	b.fill(3)
	err := b.s.Write(context.Background(), func(tx *sql.Tx) error {
		var pages int
		if err := tx.QueryRow(`PRAGMA max_page_count = 1`).Scan(&pages); err != nil {
			return err
		}
		for range 1000 {
			if err := note(strings.Repeat("y", 4000) + strconv.Itoa(pages))(tx); err != nil {
				return err
			}
			pages++
		}
		return nil
	})
	if store.Cause(err) != store.ErrFull {
		t.Errorf("the error is %v, want one whose cause is ErrFull", err)
	}
	b.leave()
	if n := b.one(`SELECT count(*) FROM notes`); n != "3" || len(b.aside()) != 0 {
		t.Errorf("%s notes are left and %v set aside, want 3 and nothing", n, b.aside())
	}
}

func TestCausesHaveNames(t *testing.T) {
	b := newBench(t)
	dir := filepath.Dir(b.path)
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "directory.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		filepath.Join(blocked, "notes.db"): store.ErrNotDirectory,
		filepath.Join(dir, "directory.db"): store.ErrNotFile,
	} {
		b.path = path
		err := b.open(store.Config{}).Write(context.Background(), note("a"))
		if !errors.Is(err, want) {
			t.Errorf("%s: the error is %v, want %v", filepath.Base(path), err, want)
		}
		if err != nil && strings.Contains(err.Error(), "(14)") {
			t.Errorf("the error %q shows SQLite's number in place of the cause", err)
		}
	}
}

// A process can be stopped in the middle of a replacement, until others no longer wait for the lock;
// and the damage need not be in their way.
func TestWhatIsWrittenWhileTheDatabaseIsReplacedIsKept(t *testing.T) {
	b := newBench(t)
	b.fill(300)
	b.damage(150)
	hasty := b.open(store.Config{LockWait: 10 * time.Millisecond})
	b.points = func(name string) {
		if name != "salvaged" {
			return
		}
		b.points = nil
		if err := hasty.Write(context.Background(), note("meanwhile")); err != nil {
			t.Errorf("another process could not write: %v", err)
		}
		hasty.Close() // Windows renames no database that is open
	}
	b.write(readAll)
	if b.points != nil {
		t.Fatal("the point was never reached")
	}
	if n := b.one(`SELECT count(*) FROM notes WHERE text = 'meanwhile'`); n != "1" {
		t.Error("the note is lost: it was written to the database that was set aside")
	}
}
