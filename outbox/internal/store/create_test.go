package store_test

import (
	"context"
	"database/sql"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

func creationPoints() []string {
	return []string{"created", "initialized", "filling", "filled", "synced"}
}

func TestAProcessThatIsKilledWhileItCreatesTheDatabaseLeavesNothingHalfDone(t *testing.T) {
	for _, point := range append(creationPoints(), "before-commit", "after-commit") {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if err := b.child(point); err == nil {
				t.Fatal("the point was never reached")
			}
			if err := b.child(""); err != nil {
				t.Errorf("the next process failed: %v", err)
			}
			want := "1"
			if point == "after-commit" {
				want = "2"
			}
			if n := b.one(`SELECT count(*) FROM notes`); n != want {
				t.Errorf("%s notes are there, want %s", n, want)
			}
			if mode := b.one(`PRAGMA auto_vacuum`); mode != "2" {
				t.Errorf("auto_vacuum is %s, want 2, or the database never shrinks", mode)
			}
			b.isWhole()
		})
	}
}

func TestAMigrationThatIsKilledIsDoneByTheNextProcess(t *testing.T) {
	for _, point := range []string{"migrating", "migrated"} {
		t.Run(point, func(t *testing.T) {
			b := newBench(t)
			b.fill(10)
			b.exec(`DROP INDEX notes_text; DROP TABLE tags; PRAGMA user_version = 1; PRAGMA application_id = 0`)
			if err := b.child(point); err == nil {
				t.Fatal("the point was never reached")
			}
			if n := b.one(`SELECT count(*) FROM notes`); n != "10" {
				t.Errorf("%s of 10 notes are left", n)
			}
			if v := b.one(`PRAGMA user_version`); v != "1002" {
				t.Errorf("the version is %s, want 1002", v)
			}
		})
	}
}

// What a migration takes out of the database has to be somewhere else first.
func TestAFunctionIsRunOnWhatIsThereBeforeItsMigration(t *testing.T) {
	var seen []string
	all := schemas()
	all[0].Before = map[int]func(context.Context, *sql.Tx) error{2: func(ctx context.Context, tx *sql.Tx) error {
		var found sql.NullString
		err := tx.QueryRowContext(ctx, `SELECT group_concat(text) FROM notes`).Scan(&found)
		seen = append(seen, found.String)
		return err
	}}
	for name, test := range map[string]struct {
		prepare func(b *bench)
		want    []string
	}{
		"a new database": {func(*bench) {}, []string{""}},
		"a complete one": {func(b *bench) { b.write(note("a")) }, nil},
		"one without it": {func(b *bench) { b.s = b.open(store.Config{Schemas: older()}); b.write(note("a")) }, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			seen = nil
			b := newBench(t)
			test.prepare(b)
			b.s.Close()
			b.must(write(b.open(store.Config{Schemas: all}), readAll))
			if !slices.Equal(seen, test.want) {
				t.Errorf("it saw %q, want %q", seen, test.want)
			}
		})
	}
}

// A process can be stopped (SIGSTOP, a laptop's lid) anywhere, with the write lock in hand. Others wait for a while and then go on
// without the lock, where there is a whole database; once it wakes up, neither it nor they may have lost anything.
func TestAProcessThatIsStoppedHarmsNobody(t *testing.T) {
	for _, point := range append(creationPoints(), "before-commit", "after-commit") {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			want := 1
			b.points = func(name string) {
				if name != point {
					return
				}
				b.points = nil
				err := b.child("")
				if err == nil {
					want = 2
				} else if !strings.Contains(err.Error(), store.ErrLocked.Error()) {
					t.Errorf("another process failed with %v, want it to be told that it was locked out", err)
				}
			}
			b.write(note("own"))
			if b.points != nil {
				t.Fatal("the point was never reached")
			}
			if n := b.one(`SELECT count(*) FROM notes`); n != strconv.Itoa(want) {
				t.Errorf("%s notes are there, want the %d that were committed", n, want)
			}
			if point == "after-commit" && want == 1 {
				t.Error("another process could not write to a database that was whole and free")
			}
			b.isWhole()
		})
	}
}

func TestACrowdsFirstCommandsAreAllKept(t *testing.T) {
	b := newBench(t)
	const n = 12
	var crowd sync.WaitGroup
	for i := range n {
		crowd.Go(func() {
			s := store.New(store.Config{Path: b.path, Schemas: schemas(), Point: func(string) {}})
			defer s.Close()
			if err := write(s, note(strconv.Itoa(i))); err != nil {
				t.Error(err)
			}
		})
	}
	crowd.Wait()
	if got := b.one(`SELECT count(*) FROM notes`); got != strconv.Itoa(n) {
		t.Errorf("%s of %d notes are there", got, n)
	}
	b.isWhole()
}

// Earlier versions made a database beside its place, and replaced one by another.
func TestWhatEarlierVersionsHaveLeftIsAdoptedOrRemoved(t *testing.T) {
	t.Run("a whole one without its database", func(t *testing.T) {
		b := newBench(t)
		b.fill(10)
		b.must(os.Rename(b.path, b.path+".new"))
		if n := b.one(`SELECT count(*) FROM notes`); n != "10" {
			t.Errorf("%s of 10 notes are there", n)
		}
		b.isWhole()
	})
	for name, do := range map[string]func(b *bench){
		"beside its database":               func(b *bench) { b.shrink() },
		"beside a database that is damaged": func(b *bench) { b.damage(50); b.write(readAll); b.shrink() },
		"beside one that is erased":         func(b *bench) { b.erase() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fill(100)
			for _, name := range []string{".new", ".new-wal", ".making-123", ".making-123-journal"} {
				b.must(os.WriteFile(b.path+name, []byte("unfinished"), 0o600))
			}
			do(b)
			b.write(note("a"))
			b.isWhole()
		})
	}
}

func (b *bench) shrink() {
	b.Helper()
	b.must(b.s.Shrink(context.Background(), 0))
}

func (b *bench) erase() {
	b.Helper()
	b.must(b.s.Erase(context.Background(), do(`DELETE FROM notes`), nil))
}

func TestTheDatabaseShrinksAndSomebodyWhoReadsIsNotWaitedFor(t *testing.T) {
	b := newBench(t)
	b.fill(2000)
	grown := len(b.content())
	b.write(do(`DELETE FROM notes`))
	b.must(b.open(store.Config{}).View(context.Background(), func(tx *sql.Tx) error {
		if err := readAll(tx); err != nil { // from here on it reads
			return err
		}
		ends(t, "a backup may read for minutes, and every command waits for the lock", func() {
			if err := b.open(store.Config{BusyWait: time.Hour}).Shrink(context.Background(), 10); err != nil {
				t.Error(err)
			}
		})
		return nil
	}))
	b.shrink()
	if now := len(b.content()); now > grown/4 {
		t.Errorf("the database has %d bytes after %d were erased", now, grown)
	}
	if info, err := os.Stat(b.path + "-wal"); err != nil || info.Size() != 0 {
		t.Errorf("the WAL is %v (%v), want it truncated", info, err)
	}
}

func TestErasingLeavesNothingOnTheDisk(t *testing.T) {
	b := newBench(t)
	b.fill(100)
	b.damage(50)
	b.write(readAll)
	b.write(note("secret"))
	if len(b.copies()) != 1 {
		t.Fatalf("the copies are %v, want one", b.copies())
	}
	b.s.Sync()
	b.erase()
	for _, name := range b.beside("") {
		content, err := os.ReadFile(b.path + strings.TrimPrefix(name, "notes.db"))
		if err != nil || strings.Contains(string(content), "secret") || strings.Contains(string(content), "<7>") {
			t.Errorf("%s still holds what was erased (%v)", name, err)
		}
	}
	b.isWhole()
}
