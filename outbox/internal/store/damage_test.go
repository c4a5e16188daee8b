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
		}, 0},
		"garbage in each page of a quarter": {func(b *bench) { // what waits lies behind what was delivered: at the end of the file
			content := b.content()
			const size = 4096
			from, to := len(content)/4/size*size, len(content)/2/size*size
			copy(content[from:to], bytes.Repeat([]byte{0xAB}, to-from))
			b.overwrite(content)
		}, 740},
		"cut in half":           {func(b *bench) { b.overwrite(b.content()[:len(b.content())/2]) }, 0},
		"cut inside the header": {func(b *bench) { b.overwrite(b.content()[:50]) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.fill(1000)
			test.damage(b)
			damaged := b.content()
			b.write(readAll)
			b.write(note("after"))
			n, _ := strconv.Atoi(b.one(`SELECT count(*) FROM notes`))
			if n-1 < test.kept {
				t.Errorf("%d of 1000 notes went on, want at least %d", n-1, test.kept)
			}
			b.isWhole()
			copies := b.copies()
			if len(copies) != 1 {
				t.Fatalf("the copies are %v, want one", copies)
			}
			if kept, err := os.ReadFile(filepath.Join(filepath.Dir(b.path), copies[0])); err != nil || !bytes.Equal(kept, damaged) {
				t.Errorf("the copy is not the file that was damaged (%v): nobody can look into it any more", err)
			}
		})
	}
}

func TestWhatIsCarriedOver(t *testing.T) {
	b := newBench(t)
	b.fill(300)
	b.exec(`UPDATE counter SET n = 7; INSERT INTO tags VALUES ('red'), ('green');
		INSERT INTO notes (seq, text) VALUES (5000, 'gone'); DELETE FROM notes WHERE seq = 5000;
		ALTER TABLE notes ADD COLUMN mood TEXT; CREATE TABLE letters (text)`)
	b.damage(150)
	b.write(readAll)
	for query, want := range map[string]string{
		`SELECT n FROM counter`:                                     "7",
		`SELECT group_concat(name) FROM tags`:                       "green,red",
		`SELECT seq FROM sqlite_sequence WHERE name = 'notes'`:      "5000",
		`SELECT text LIKE '<299>%' FROM notes WHERE seq = 300`:      "1",
		`SELECT count(*) FROM sqlite_schema WHERE name = 'letters'`: "0",
	} {
		if got := b.one(query); got != want {
			t.Errorf("%s gives %s, want %s", query, got, want)
		}
	}
}

func TestAProcessThatDiesWhileADatabaseIsSetAsideIsFollowedByOneThatGoesOn(t *testing.T) {
	for _, point := range append([]string{"set-aside"}, append(creationPoints(), "before-commit")...) {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
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
			b.isWhole()
			if _, err := os.Lstat(b.path + ".damaged"); err == nil {
				t.Errorf("the copy has no final name after a process died at %s: its rows could come back", point)
			}
			first := b.copies()
			b.damage(75) // once more: the first copy must not be overwritten
			b.write(readAll)
			if second := b.copies(); len(first) != 1 || len(second) != 2 {
				t.Errorf("the copies are %v after a process died at %s and %v after more damage, want one and two", first, point, second)
			}
		})
	}
}

// The files are renamed one after the other.
func TestTheSideFilesOfADatabaseThatWasSetAsideFollowIt(t *testing.T) {
	b := newBench(t)
	b.fill(5)
	b.write(note("in the WAL"))
	b.must(b.s.Sync())
	other := newBench(t) // where nobody has anything open
	for from, to := range map[string]string{"": ".damaged", "-wal": "-wal"} {
		content, err := os.ReadFile(b.path + from)
		b.must(errors.Join(err, os.WriteFile(other.path+to, content, 0o600)))
	}
	if n := other.one(`SELECT count(*) FROM notes WHERE text = 'in the WAL'`); n != "1" {
		t.Error("the note is lost: the WAL was not taken along")
	}
	other.isWhole()
}

func TestThreeCopiesStayUntilTheyAreErasedAndNothingMoreIsSetAside(t *testing.T) {
	b := newBench(t)
	b.must(os.WriteFile(b.path+".corrupt-20260101T000000.000", nil, 0o600)) // of an earlier version
	b.fill(300)
	for i, page := range []int{70, 140} {
		b.damage(page)
		b.write(readAll)
		if copies := b.copies(); len(copies) != i+2 {
			t.Errorf("the copies are %v, want %d", copies, i+2)
		}
	}
	b.damage(210)
	before := b.content()
	err := write(b.s, readAll)
	if !errors.Is(err, store.ErrCopies) || !errors.Is(err, store.ErrDamaged) || len(b.copies()) != 3 || !bytes.Equal(before, b.content()) {
		t.Errorf("a fourth one: %v, copies %v; want ErrCopies and the file where it is", err, b.copies())
	}
	b.erase()
	if left := b.copies(); len(left) != 0 {
		t.Errorf("%v still hold what the user has erased", left)
	}
	b.write(note("after"))
	b.isWhole()
}

// SQLite itself has to say so, twice, and of all of the file.
func TestAHealthyDatabaseIsNeverSetAside(t *testing.T) {
	for name, change := range map[string]func(b *bench){
		"somebody's index, table and value": func(b *bench) {
			b.exec(`CREATE TABLE letters (n INTEGER CHECK (n < 10)); CREATE INDEX mine ON notes (seq, text); ANALYZE;
				PRAGMA ignore_check_constraints = on; INSERT INTO letters VALUES (11); ALTER TABLE notes ADD COLUMN mood TEXT; VACUUM`)
		},
		"a table that is gone":   func(b *bench) { b.exec(`DROP TABLE tags`) },
		"a format of the future": func(b *bench) { b.patch(18, 3) },
		"a mark that is another": func(b *bench) { b.patch(68, 1) },
		"a statement with a mistake": func(b *bench) {
			if write(b.s, do(`SELECT nothing FROM nowhere`)) == nil {
				b.Error("it gives no error")
			}
		},
		"damage that is gone when it is looked at again": func(b *bench) {
			content := b.content()
			b.damage(25)
			runs := 0
			err := write(b.s, func(tx *sql.Tx) error {
				err := readAll(tx)
				if runs++; runs == 2 {
					b.overwrite(content)
				}
				return err
			})
			if err == nil || runs != 2 {
				b.Errorf("%d runs and %v, want two and that it is damaged", runs, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fill(50)
			change(b)
			_ = write(b.s, func(tx *sql.Tx) error { return errors.Join(do(`INSERT INTO tags VALUES ('red')`)(tx), readAll(tx)) })
			b.s.Close()
			if copies := b.beside(".damaged"); len(copies) != 0 {
				t.Errorf("%v is set aside", copies)
			}
		})
	}
}

// A process can die between carrying the rows over and naming the copy, while others have the new database open.
func TestACopyIsFinishedAlsoWhileOthersHaveTheDatabaseOpen(t *testing.T) {
	b := newBench(t)
	b.write(note("a")) // and stays open
	b.must(os.WriteFile(b.path+".damaged", []byte("an earlier one"), 0o600))
	b.must(write(b.open(store.Config{}), note("b")))
	if found := b.beside(".damaged"); len(found) != 1 || found[0] == "notes.db.damaged" {
		t.Errorf("%v is beside the database, want one copy with its final name: the rows would be carried over once more", found)
	}
}

// patch changes a byte of the database.
func (b *bench) patch(at int, value byte) {
	b.Helper()
	content := b.content()
	content[at] = value
	b.overwrite(content)
}

// A bad read is not a bad file: it is met twice, and the caller's function is run again.
func TestDamageThatPassesCostsNothing(t *testing.T) {
	b := newBench(t)
	b.fill(50)
	content := b.content()
	b.damage(25)
	runs := 0
	b.write(func(tx *sql.Tx) error {
		err := readAll(tx)
		if runs++; err != nil {
			b.overwrite(content)
			return err
		}
		return note("a")(tx)
	})
	if n := b.one(`SELECT count(*) FROM notes`); n != "51" || runs != 2 {
		t.Errorf("%s notes after %d runs, want all 51 after two", n, runs)
	}
	b.isWhole()
	if copies := b.copies(); len(copies) != 0 {
		t.Errorf("%v is set aside", copies)
	}
}

// Without the lock another process may be at it.
func TestADamagedDatabaseIsNotSetAsideWithoutTheLock(t *testing.T) {
	b := newBench(t)
	b.fill(50)
	b.damage(25)
	b.hold()
	err := write(b.open(store.Config{LockWait: 1}), readAll)
	if !errors.Is(err, store.ErrDamaged) || len(b.copies()) != 0 {
		t.Errorf("%v, copies %v; want it only to say that it is damaged", err, b.copies())
	}
}

func TestWhoLooksOrTriesIsToldOfDamage(t *testing.T) {
	b := newBench(t)
	b.fill(3)
	b.overwrite(bytes.Repeat([]byte{0xAB}, 8192))
	for what, err := range map[string]error{"looking": look(b.s), "trying": b.s.CheckWrite(context.Background())} {
		if !errors.Is(err, store.ErrDamaged) || len(b.copies()) != 0 {
			t.Errorf("%s at a damaged database gives %v and the copies %v, want it only to be said", what, err, b.copies())
		}
	}
}

func TestADiskThatIsFullOnlyFails(t *testing.T) {
	b := newBench(t)
	b.fill(3)
	err := write(b.s, func(tx *sql.Tx) error {
		var pages int
		err := tx.QueryRow(`PRAGMA max_page_count = 1`).Scan(&pages)
		for i := 0; err == nil && i < 1000; i++ {
			err = note(strings.Repeat("y", 4000) + strconv.Itoa(i))(tx)
		}
		return err
	})
	if store.Cause(err) != store.ErrFull {
		t.Errorf("the error is %v, want one whose cause is ErrFull", err)
	}
	if n := b.one(`SELECT count(*) FROM notes`); n != "3" || len(b.copies()) != 0 {
		t.Errorf("%s notes are left and %v set aside, want 3 and nothing", n, b.copies())
	}
}
