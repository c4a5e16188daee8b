package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

func TestAProcessThatIsKilledWhileItCreatesTheDatabaseLeavesNothingHalfDone(t *testing.T) {
	for _, point := range []string{
		"created", "initialized", "migrating-1", "migrated-1", "migrating-3", "built", "placed", "before-commit", "after-commit",
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if err := b.child(point); err == nil {
				t.Fatal("the point was never reached")
			}
			if err := b.child(""); err != nil && point != "after-commit" {
				t.Errorf("the next process failed: %v", err)
			}
			if n := b.one(`SELECT count(*) FROM notes`); n != "1" {
				t.Errorf("%s notes are there, want one", n)
			}
			b.isSound()
			if left := b.beside(".making"); len(left) != 0 {
				t.Errorf("%v is left of a process that died at %s", left, point)
			}
		})
	}
}

func TestAMigrationThatIsKilledGoesOnLater(t *testing.T) {
	for _, point := range []string{"migrating-2", "migrated-2", "migrating-3", "migrated-3"} {
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

// A process can be stopped (SIGSTOP, a laptop's lid) anywhere, with the write lock in hand. Others
// wait for a while and then go on without the lock; once it wakes up, neither it nor they may have
// lost anything.
func TestAProcessThatIsStoppedWhileItCreatesTheDatabaseHarmsNobody(t *testing.T) {
	for _, point := range []string{"created", "initialized", "migrating-1", "migrated-1", "built", "placed", "after-commit"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.points = func(name string) {
				if name != point {
					return
				}
				b.points = nil
				// Another process: one that is of this process has the same name in the making.
				if err := b.child(""); err != nil {
					t.Errorf("another process could not write: %v", err)
				}
			}
			b.write(note("own"))
			if b.points != nil {
				t.Fatal("the point was never reached")
			}
			if n := b.one(`SELECT count(*) FROM notes`); n != "2" {
				t.Errorf("%s notes are there, want the two that were committed", n)
			}
		})
	}
}

func TestACrowdsFirstCommandsAreAllKept(t *testing.T) {
	b := newBench(t)
	const n = 12
	var crowd sync.WaitGroup
	for i := range n {
		crowd.Go(func() {
			s := store.New(store.Config{Path: b.path, Schemas: schemas(), Now: time.Now, Point: func(string) {}})
			defer s.Close()
			if err := s.Write(context.Background(), note(strconv.Itoa(i))); err != nil {
				t.Error(err)
			}
		})
	}
	crowd.Wait()
	if got := b.one(`SELECT count(*) FROM notes`); got != strconv.Itoa(n) {
		t.Errorf("%s of %d notes are there", got, n)
	}
}

// A process connects to the database before it has the lock, and may wait long for that.
func TestWhatHappensToTheDatabaseWhileTheLockIsWaitedForIsSeen(t *testing.T) {
	for name, test := range map[string]struct {
		happens func(b *bench)
		want    error
	}{
		"another process has written": {func(b *bench) {}, nil},
		"somebody has removed it": {func(b *bench) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				os.Remove(b.path + suffix)
			}
		}, nil},
		"a newer program has migrated it": {func(b *bench) { b.exec(`PRAGMA user_version = 1099`) }, store.ErrNewer},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.write(note("a"))
			b.s.Leave() // as commands do: the WAL stays
			late := b.open(store.Config{})
			b.points = func(point string) {
				if point != "opened-early" {
					return
				}
				b.points = nil
				test.happens(b)
				if test.want == nil {
					if err := b.open(store.Config{}).Write(context.Background(), note("between")); err != nil {
						t.Errorf("another process could not write: %v", err)
					}
				}
			}
			if err := late.Write(context.Background(), note("late")); !errors.Is(err, test.want) {
				t.Fatalf("writing ended with %v, want %v", err, test.want)
			}
			if b.points != nil {
				t.Fatal("the database was not connected to before the lock was taken")
			}
			b.s = b.open(store.Config{})
			if test.want == nil {
				if n := b.one(`SELECT count(*) FROM notes WHERE text IN ('between', 'late')`); n != "2" {
					t.Errorf("%s of the 2 notes that were written since are there", n)
				}
			}
		})
	}
}

func TestAStoppedProcessIsWaitedForOnce(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	lock, err := store.Lock(context.Background(), b.path+".lock", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	const wait = 500 * time.Millisecond
	other := b.open(store.Config{LockWait: wait})
	within(t, 3*wait, "who has ten seconds for many transactions would not come to the last", func() {
		for i := range 6 {
			if err := other.Write(context.Background(), note(strconv.Itoa(i))); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTheDatabaseShrinksAndSomebodyWhoReadsIsNotWaitedFor(t *testing.T) {
	b := newBench(t)
	b.fill(2000)
	grown := len(b.content())
	b.write(func(tx *sql.Tx) error { _, err := tx.Exec(`DELETE FROM notes`); return err })
	err := b.open(store.Config{}).View(context.Background(), func(tx *sql.Tx) error {
		if err := readAll(tx); err != nil { // from here on it reads
			return err
		}
		within(t, 2*time.Second, "a backup may read for minutes, and everybody waits for the lock", func() {
			if err := b.s.Shrink(context.Background(), 10, 0); err != nil {
				t.Error(err)
			}
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.s.Shrink(context.Background(), 0, time.Second); err != nil {
		t.Fatal(err)
	}
	if now := len(b.content()); now > grown/4 {
		t.Errorf("the database has %d bytes after %d were erased", now, grown)
	}
	if info, err := os.Stat(b.path + "-wal"); err != nil || info.Size() != 0 {
		t.Errorf("the WAL has %d bytes, want it truncated (%v)", info.Size(), err)
	}
}

func TestReservedRoomIsTakenAndGivenBack(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	before, size := b.beside(""), func() int64 {
		info, err := os.Stat(b.path + ".lock")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for range 2 {
		if err := b.s.Reserve(context.Background(), 64<<10); err != nil {
			t.Fatal(err)
		}
	}
	if got := size(); got <= 64<<10 {
		t.Fatalf("the room is not taken: %d bytes are", got)
	}
	if now := b.beside(""); !slices.Equal(now, before) {
		t.Errorf("%v is there, before it was %v: whoever removes the home meanwhile fails", now, before)
	}
	b.leave()
	if got := size(); got != 0 {
		t.Errorf("%d bytes of it are left", got)
	}
}

func TestNoRoomIsTakenInWhatALinkLeadsTo(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	theirs := filepath.Join(t.TempDir(), "theirs")
	err := errors.Join(os.WriteFile(theirs, []byte("precious"), 0o600), os.Remove(b.path+".lock"), os.Symlink(theirs, b.path+".lock"))
	if err != nil {
		t.Skip("links cannot be made here: ", err)
	}
	if err := b.s.Reserve(context.Background(), 64<<10); err != nil {
		t.Errorf("%v; without a place for the room none is set aside", err)
	}
	b.leave()
	if content, err := os.ReadFile(theirs); err != nil || string(content) != "precious" {
		t.Errorf("somebody's file is %d bytes now (%v)", len(content), err)
	}
}
