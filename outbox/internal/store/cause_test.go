package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// What is in the way is told as what it is, by whoever writes, looks or tries, and is left alone.
func TestWhatIsInTheDatabasesPlaceIsToldAndLeftAlone(t *testing.T) {
	for name, test := range map[string]struct {
		put  func(path string) error
		want error
	}{
		"a directory":               {func(path string) error { return os.Mkdir(path, 0o700) }, store.ErrNotFile},
		"a link to a directory":     {func(path string) error { return os.Symlink(filepath.Dir(path), path) }, store.ErrNotFile},
		"a link that leads nowhere": {func(path string) error { return os.Symlink("nowhere", path) }, store.ErrDangling},
		"a link to itself":          {func(path string) error { return os.Symlink(path, path) }, store.ErrDangling},
		"a device":                  {func(path string) error { return os.Symlink(os.DevNull, path) }, store.ErrNotFile},
		"a pipe":                    {func(path string) error { return exec.Command("mkfifo", path).Run() }, store.ErrNotFile},
		"a file instead of its directory": {func(path string) error {
			return errors.Join(os.Remove(filepath.Dir(path)), os.WriteFile(filepath.Dir(path), nil, 0o600))
		}, store.ErrNotDirectory},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.path = filepath.Join(b.path+".d", "notes.db")
			if err := errors.Join(os.Mkdir(filepath.Dir(b.path), 0o700), test.put(b.path)); err != nil {
				t.Skip("it cannot be made here: ", err)
			}
			before, err := os.Lstat(b.path)
			if errors.Is(err, os.ErrNotExist) && test.want != store.ErrNotDirectory {
				t.Skip("the system says that it has made a link, and there is none")
			}
			ends(t, "whoever asks who they are waits for ever", func() {
				for what, err := range map[string]error{
					"writing": b.open(store.Config{}).Write(context.Background(), note("a"), nil),
					"looking": b.open(store.Config{}).View(context.Background(), readAll),
					"trying":  b.open(store.Config{}).CheckWrite(context.Background()),
					"erasing": b.open(store.Config{}).Erase(context.Background(), note("a"), nil),
				} {
					if !errors.Is(err, test.want) {
						t.Errorf("%s gives %v, want %v", what, err, test.want)
					}
					if err != nil && strings.Contains(err.Error(), "(14)") {
						t.Errorf("the error %q shows SQLite's number in place of the cause", err)
					}
				}
			})
			if after, _ := os.Lstat(b.path); before != nil && !os.SameFile(before, after) {
				t.Error("it was replaced")
			}
		})
	}
}

func TestAProgramThatKeepsTheDatabaseLockedIsToldAndWaitedForOnce(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	b.leave()
	db, err := sql.Open("sqlite", b.path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	const wait = time.Second
	began := time.Now()
	if err := b.open(store.Config{BusyWait: wait}).Write(context.Background(), note("b"), nil); !errors.Is(err, store.ErrLocked) {
		t.Errorf("it says %v, want ErrLocked", err)
	}
	if took := time.Since(began); took < wait-100*time.Millisecond {
		t.Errorf("it was waited for %s, want %s: most programs let go of it", took, wait)
	}
	ends(t, "each command pays for a program that keeps the database", func() {
		for range 3 {
			if err := b.open(store.Config{BusyWait: time.Hour}).Write(context.Background(), note("b"), nil); !errors.Is(err, store.ErrLocked) {
				t.Errorf("it says %v, want ErrLocked", err)
			}
		}
	})
	if _, err := db.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	b.write(note("b"))
}

// A new home, a database and one that must be migrated: nothing is made, and nothing else is said than by a Write.
func TestTryingChangesNothing(t *testing.T) {
	for name, prepare := range map[string]func(b *bench){
		"a new home": func(b *bench) {},
		"a database": func(b *bench) { b.fill(3) },
		"an older one": func(b *bench) {
			b.fill(3)
			b.exec(`DROP INDEX notes_text; PRAGMA user_version = 1001`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			prepare(b)
			read := func() (content string) {
				for _, name := range b.beside("") {
					if !strings.HasSuffix(name, "-wal") && !strings.HasSuffix(name, "-shm") {
						part, _ := os.ReadFile(filepath.Join(filepath.Dir(b.path), name))
						content += name + string(part)
					}
				}
				return content
			}
			before := read()
			if err := b.open(store.Config{}).CheckWrite(context.Background()); err != nil {
				t.Errorf("it says %v", err)
			}
			if read() != before {
				t.Errorf("it has left %v, or changed something", b.beside(""))
			}
		})
	}
	b := newBench(t)
	b.fill(3)
	b.overwrite(make([]byte, 8192))
	if err := b.open(store.Config{}).CheckWrite(context.Background()); !errors.Is(err, store.ErrDamaged) || len(b.copies()) != 0 {
		t.Errorf("a damaged database: it says %v and the copies are %v, want it only to be said", err, b.copies())
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
	const first = time.Second
	began := time.Now()
	ends(t, "each command pays for the one that is stopped", func() {
		for i := range 8 {
			wait := time.Hour
			if i == 0 {
				wait = first
			}
			s := b.open(store.Config{LockWait: wait})
			for j := range 3 { // nor does a process that has waited once
				if err := s.Write(context.Background(), note(string(rune('b'+3*i+j))), nil); err != nil {
					t.Error(err)
				}
			}
		}
	})
	if took := time.Since(began); took < first {
		t.Errorf("nobody has waited: %s", took)
	}
	if n := b.one(`SELECT count(*) FROM notes`); n != "25" {
		t.Errorf("%s of 25 notes are there: SQLite's own locking would have done", n)
	}
}

// Once somebody has written with the lock, it is worth waiting for again.
func TestAWaitThatWasInVainIsForgottenWithTheNextCommit(t *testing.T) {
	b := newBench(t)
	b.write(note("a"))
	lock, err := store.Lock(context.Background(), b.path+".lock", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.open(store.Config{LockWait: 10 * time.Millisecond}).Write(context.Background(), note("b"), nil); err != nil {
		t.Fatal(err)
	}
	lock.Release()
	time.Sleep(20 * time.Millisecond) // the file system's clock ticks more slowly
	b.write(note("c"))
	if lock, err = store.Lock(context.Background(), b.path+".lock", 0); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(600*time.Millisecond, lock.Release)
	patient := b.open(store.Config{LockWait: time.Hour})
	err = patient.Locked(context.Background(), func() error {
		if !store.IsLocked(b.path + ".lock") {
			t.Error("it did not wait for the lock, though somebody has committed since")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
