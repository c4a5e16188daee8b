package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
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
		"garbage in the header":           {func(b *bench) { b.put(0, garbage(100)...) }, 0},
		// What waits lies behind what was delivered: at the end of the file.
		"garbage in each page of a quarter": {func(b *bench) {
			quarter := len(b.content()) / pageSize / 4 * pageSize
			b.put(quarter, garbage(quarter)...)
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
			if n := b.count(); n < test.kept {
				t.Errorf("%d of 1000 notes went on, want at least %d", n, test.kept)
			}
			b.write(note("after"))
			b.isWhole()
			for _, path := range b.copied(1) {
				if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, damaged) {
					t.Errorf("the copy is not the file that was damaged (%v): nobody can look into it any more", err)
				}
			}
		})
	}
}

func TestWhatIsCarriedOver(t *testing.T) {
	b := newBench(t)
	b.fill(300)
	b.must(b.shell(`UPDATE counter SET n = 7; INSERT INTO tags VALUES ('red'), ('green');
		INSERT INTO notes (seq, text) VALUES (5000, 'gone'); DELETE FROM notes WHERE seq = 5000;
		ALTER TABLE notes ADD COLUMN mood TEXT; CREATE TABLE letters (text)`).Close())
	b.damage(150)
	b.write(readAll)
	b.want(`SELECT n FROM counter`, "7")
	b.want(`SELECT group_concat(name) FROM tags`, "green,red")
	b.want(`SELECT seq FROM sqlite_sequence WHERE name = 'notes'`, "5000")
	b.want(`SELECT text LIKE '<299>%' FROM notes WHERE seq = 300`, "1")
	b.want(`SELECT count(*) FROM sqlite_schema WHERE name = 'letters'`, "0")
}

// The files of a database that is set aside are renamed one after the other.
func TestAWALIsTakenUpOnlyForTheDatabaseThatWasSetAside(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string // by their suffixes, and what they become
		want  string
	}{
		"of the one that was set aside": {map[string]string{"": ".damaged", "-wal": "-wal"}, "1"},
		"of another one":                {map[string]string{"-wal": "-wal"}, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			b, other := newBench(t), newBench(t) // where nobody has anything open
			b.fill(5)
			b.write(note("in the WAL"))
			b.must(b.s.Sync())
			for from, to := range test.files {
				content, err := os.ReadFile(b.path + from)
				b.must(errors.Join(err, os.WriteFile(other.path+to, content, 0o600)))
			}
			other.want(`SELECT count(*) FROM notes WHERE text = 'in the WAL'`, test.want)
			other.isWhole()
		})
	}
}

func TestThreeCopiesStayUntilTheyAreErasedAndNothingMoreIsSetAside(t *testing.T) {
	b := newBench(t)
	b.must(os.WriteFile(b.path+".corrupt-20260101T000000.000", nil, 0o600)) // of an earlier version
	b.fill(300)
	for i, page := range []int{70, 140} {
		b.damage(page)
		b.write(readAll)
		b.copied(i + 2)
	}
	b.damage(210)
	before := b.content()
	err := write(b.s, readAll)
	if !errors.Is(err, store.ErrCopies) || !errors.Is(err, store.ErrDamaged) || !bytes.Equal(before, b.content()) {
		t.Errorf("a fourth one: %v; want ErrCopies and the file where it is", err)
	}
	b.copied(3)
	b.erase()
	b.copied(0)
	b.write(note("after"))
	b.isWhole()
}

// SQLite itself has to say so, twice, and of all of the file.
func TestAHealthyDatabaseIsNeverSetAside(t *testing.T) {
	// passing is damage that is gone after a number of runs: a bad read is not a bad file.
	passing := func(runs, notes int) func(b *bench) {
		return func(b *bench) {
			content := b.content()
			b.damage(25)
			ran := 0
			err := write(b.s, func(tx *sql.Tx) error {
				err := readAll(tx)
				if ran++; ran == runs {
					b.overwrite(content)
				}
				return errors.Join(err, note("a")(tx))
			})
			if errors.Is(err, store.ErrDamaged) != (notes == 50) || ran != 2 {
				b.Errorf("%d runs and %v, want two, and an error only when both met damage", ran, err)
			}
			b.holds(notes)
		}
	}
	for name, change := range map[string]func(b *bench){
		"somebody's index, table and value": func(b *bench) {
			b.must(b.shell(`CREATE TABLE letters (n INTEGER CHECK (n < 10)); CREATE INDEX mine ON notes (seq, text); ANALYZE;
				PRAGMA ignore_check_constraints = on; INSERT INTO letters VALUES (11); ALTER TABLE notes ADD COLUMN mood TEXT; VACUUM`).Close())
		},
		"a table that is gone":   func(b *bench) { b.must(b.shell(`DROP TABLE tags`).Close()) },
		"a format of the future": func(b *bench) { b.put(18, 3) },
		"a mark that is another": func(b *bench) { b.put(68, 1) },
		"a statement with a mistake": func(b *bench) {
			if write(b.s, do(`SELECT nothing FROM nowhere`)) == nil {
				b.Error("it gives no error")
			}
		},
		"damage that is gone when the work is done again": passing(1, 51),
		"damage that is gone when all of it is looked at": passing(2, 50),
		"damage that is gone when a look is taken again": func(b *bench) {
			content := b.content()
			b.damage(25)
			b.must(b.s.View(context.Background(), func(tx *sql.Tx) error {
				defer b.overwrite(content)
				return readAll(tx)
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fill(50)
			change(b)
			_ = write(b.s, func(tx *sql.Tx) error { return errors.Join(do(`INSERT INTO tags VALUES ('red')`)(tx), readAll(tx)) })
			b.leave()
			b.copied(0)
		})
	}
}

// A process can die between carrying the rows over and naming the copy, which would be carried over once more.
func TestACopyIsFinishedByTheNextProcess(t *testing.T) {
	for name, test := range map[string]struct {
		change func(b *bench)
		copies int
	}{
		"while others have the database open": {func(b *bench) { b.write(readAll) }, 1},
		"when the new one is damaged, too":    {func(b *bench) { b.overwrite(garbage(8192)) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fill(50)
			test.change(b)
			b.must(os.WriteFile(b.path+".damaged", []byte("an earlier one"), 0o600))
			b.must(write(b.open(store.Config{}), readAll))
			b.copied(test.copies)
			b.isWhole()
		})
	}
}

// Without the lock another process may be at it.
func TestOnlyAWriteUnderTheLockSetsADamagedDatabaseAside(t *testing.T) {
	b := newBench(t)
	b.fill(50)
	b.damage(25)
	lock := b.hold()
	without := write(b.open(store.Config{LockWait: 1}), readAll)
	lock.Close()
	b.overwrite(garbage(8192))
	b.meets(without, store.ErrDamaged, "writing without the lock")
	b.meets(look(b.s), store.ErrDamaged, "looking")
	b.meets(b.s.CheckWrite(t.Context()), store.ErrDamaged, "trying")
	b.copied(0)
}

func TestADiskThatIsFullOnlyFails(t *testing.T) {
	b := newBench(t)
	b.fill(3)
	err := write(b.s, func(tx *sql.Tx) error {
		var pages int
		return errors.Join(tx.QueryRow(`PRAGMA max_page_count = 1`).Scan(&pages), note(strings.Repeat("y", 1<<20))(tx))
	})
	if store.Cause(err) != store.ErrFull {
		t.Errorf("the error is %v, want one whose cause is ErrFull", err)
	}
	b.holds(3)
	b.copied(0)
}
