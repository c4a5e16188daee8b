package store_test

import (
	"context"
	"database/sql"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// creationPoints are those of a new database, followed by others.
func creationPoints(others ...string) []string {
	return append([]string{"created", "initialized", "filling", "filled", "synced"}, others...)
}

func TestAProcessThatIsKilledLeavesNothingHalfDone(t *testing.T) {
	for name, test := range map[string]struct {
		prepare     func(b *bench)
		points      []string
		least, most int // of the notes, with that of the next process
		copies      int
	}{
		"in a new home":    {prepare: func(*bench) {}, points: creationPoints("before-commit"), least: 1, most: 1},
		"after its commit": {prepare: func(*bench) {}, points: []string{"after-commit"}, least: 2, most: 2},
		"while it migrates": {points: []string{"migrating", "migrated"}, least: 11, most: 11, prepare: func(b *bench) {
			b.fill(10)
			b.must(b.shell(`DROP INDEX notes_text; DROP TABLE tags; PRAGMA user_version = 1; PRAGMA application_id = 0`).Close())
		}},
		"while it sets a database aside": { // all but the rows of the damaged page go on
			points: creationPoints("set-aside", "before-commit"), least: 281, most: 300, copies: 1,
			prepare: func(b *bench) {
				b.fill(300)
				b.damage(150)
			}},
	} {
		for _, point := range test.points {
			t.Run(name+" at "+point, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				test.prepare(b)
				if b.child(point) == nil {
					t.Fatal("the point was never reached")
				}
				b.must(b.child(""))
				if n := b.count(); n < test.least || n > test.most {
					t.Errorf("%d notes are there, want %d to %d", n, test.least, test.most)
				}
				b.want(`PRAGMA auto_vacuum`, "2") // or it never shrinks
				b.want(`PRAGMA user_version`, "1002")
				b.copied(test.copies)
				b.isWhole()
			})
		}
	}
}

// What a migration takes out of the database has to be somewhere else first. Schemas grow apart: an embedder's version must not meet
// the queue's.
func TestAFunctionIsRunOnWhatIsThereBeforeItsMigration(t *testing.T) {
	var seen string
	all := schemas()
	all[0].Before = map[int]func(context.Context, *sql.Tx) error{2: func(ctx context.Context, tx *sql.Tx) error {
		var found string
		err := tx.QueryRowContext(ctx, `SELECT coalesce(group_concat(text), 'nothing') FROM notes`).Scan(&found)
		seen += found
		return err
	}}
	for name, test := range map[string]struct {
		prepare func(b *bench)
		want    string
	}{
		"a new database": {func(*bench) {}, "nothing"},
		"a complete one": {func(b *bench) { b.write(note("a")) }, ""},
		"one without it": {func(b *bench) {
			b.s = b.open(store.Config{Schemas: older()})
			b.write(note("a"))
			b.want(`PRAGMA user_version`, "1001")
		}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			test.prepare(b)
			b.leave()
			seen, b.s = "", b.open(store.Config{Schemas: all})
			b.want(`PRAGMA user_version`, "1002")
			if seen != test.want {
				t.Errorf("it saw %q, want %q", seen, test.want)
			}
		})
	}
}

// A process can be stopped (SIGSTOP, a laptop's lid) anywhere, with the write lock in hand. Others wait for a while and then go on
// without the lock, where there is a whole database; once it wakes up, neither it nor they may have lost anything.
func TestAProcessThatIsStoppedHarmsNoOther(t *testing.T) {
	for _, point := range creationPoints("before-commit", "after-commit") {
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
				} else if !strings.Contains(err.Error(), store.ErrLocked.Error()) || point == "after-commit" {
					t.Errorf("another process failed with %v, want it only to be locked out of a database that is being written", err)
				}
			}
			b.write(note("own"))
			if b.points != nil {
				t.Fatal("the point was never reached")
			}
			b.holds(want)
			b.isWhole()
		})
	}
}

func TestACrowdsFirstCommandsAreAllKept(t *testing.T) {
	b := newBench(t)
	const n = 12
	var crowd sync.WaitGroup
	for i := range n {
		s := b.open(store.Config{LockWait: time.Minute}) // on a busy machine, too
		crowd.Go(func() {
			if err := write(s, note(strconv.Itoa(i))); err != nil {
				t.Error(err)
			}
		})
	}
	crowd.Wait()
	b.holds(n)
	b.isWhole()
}

// Earlier versions made a database beside its place, and replaced one by another.
func TestWhatEarlierVersionsHaveLeftIsAdoptedOrRemoved(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(b *bench)
		kept int // of 100, at least
	}{
		"a whole one without its database":  {func(b *bench) { b.must(os.Rename(b.path, b.path+".new")); b.shrink() }, 100},
		"beside its database":               {func(b *bench) { b.shrink() }, 100},
		"beside a database that is damaged": {func(b *bench) { b.damage(50); b.write(readAll); b.shrink() }, 80},
		"beside one that is erased":         {func(b *bench) { b.erase() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fill(100)
			for _, name := range []string{".new", ".new-wal", ".making-123", ".making-123-journal"} {
				b.must(os.WriteFile(b.path+name, []byte("unfinished"), 0o600))
			}
			test.do(b)
			if n := b.count(); n < test.kept {
				t.Errorf("%d of 100 notes are there, want at least %d", n, test.kept)
			}
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

// A backup may read for minutes, and every command waits for the lock.
func TestTheDatabaseShrinksWithoutWaitingForAReader(t *testing.T) {
	b := newBench(t)
	b.fill(2000)
	grown := len(b.content())
	b.write(do(`DELETE FROM notes`))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	b.must(b.open(store.Config{}).View(ctx, func(tx *sql.Tx) error {
		b.must(readAll(tx)) // from here on it reads
		return b.open(store.Config{BusyWait: time.Hour}).Shrink(ctx, 10)
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
	b.copied(1)
	b.must(b.s.Sync())
	b.erase()
	for _, path := range b.files() {
		content, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(content), "secret") || strings.Contains(string(content), "<7>") {
			t.Errorf("%s still holds what was erased (%v)", path, err)
		}
	}
	b.isWhole()
}
