package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/migrations"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// What the caller does beside the database may fail for the same reasons, and with the same errors.
func TestTheCallersErrorIsTheCallersAndLeavesNothing(t *testing.T) {
	for name, own := range map[string]error{
		"its own": errors.New("boom"), "no row": sql.ErrNoRows, "no database of its own": store.ErrNone,
		"a file that it may not open": &os.PathError{Op: "open", Path: "usage.json", Err: os.ErrPermission},
		"damage of its own":           fmt.Errorf("mine: %w", store.ErrDamaged),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			runs := 0
			err := write(b.s, func(tx *sql.Tx) error {
				runs++
				b.must(note("a")(tx))
				return own
			})
			if err != own || runs != 1 {
				t.Errorf("the error is %v after %d runs, want the caller's own after one", err, runs)
			}
			if err := b.s.View(context.Background(), func(*sql.Tx) error { return own }); err != own {
				t.Errorf("looking gives %v, want the caller's error as it is", err)
			}
			b.holds(0)
			b.isWhole()
		})
	}
}

func TestFilesArePrivateWhateverTheUmask(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are ACLs there")
	}
	b := newBench(t, "home")
	b.write(note("a"))
	for _, path := range append(b.files(), filepath.Dir(b.path)) {
		info, err := os.Stat(path)
		b.must(err)
		if mode := info.Mode().Perm(); mode != 0o600 && !(info.IsDir() && mode == 0o700) {
			t.Errorf("%s has mode %o, want 600, and 700 of a directory", path, mode)
		}
	}
}

func TestPathsMayHoldWhatAURIUsesForItself(t *testing.T) {
	for _, name := range []string{"a b", "100%", "a%2Fb", "what?mode=memory", "x#y", "a&b=c;d+e:f", "ü", `\\?\C:\x`} {
		if runtime.GOOS == "windows" && strings.ContainsAny(name, `?\:`) {
			continue
		}
		b := newBench(t, name)
		b.write(note("a"))
		if _, err := os.Stat(b.path); err != nil {
			t.Errorf("%q: the database is elsewhere: %v", name, err)
		}
		b.leave()
	}
}

func TestOnlyWhatExistsIsUsedWhenNothingMayBeMade(t *testing.T) {
	b := newBench(t, "home")
	existing := b.open(store.Config{Existing: true})
	b.meets(write(existing, note("a")), store.ErrNone, "writing without a database")
	b.meets(existing.Locked(t.Context(), func() error { return nil }), store.ErrNone, "locking without a database")
	b.meets(existing.Shrink(t.Context(), 0), store.ErrNone, "shrinking no database")
	b.meets(existing.Erase(t.Context(), note("a"), nil), store.ErrNone, "erasing no database")
	if _, err := os.Stat(filepath.Dir(b.path)); err == nil {
		t.Error("the directory was made: a home that was deleted would come back")
	}
	b.write(note("a"))
	b.must(write(existing, note("b")))
}

func TestADatabaseThatWasReplacedOrRemovedIsNotWrittenTo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a database that is open cannot be renamed or removed there")
	}
	for name, change := range map[string]func(b *bench){
		"replaced": func(b *bench) {
			b.damage(50)
			b.must(write(b.open(store.Config{}), readAll))
		},
		"removed": func(b *bench) {
			b.must(errors.Join(os.Remove(b.path), os.Remove(b.path+"-wal"), os.Remove(b.path+"-shm")))
		},
		"removed with its directory": func(b *bench) { b.must(os.RemoveAll(filepath.Dir(b.path))) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fill(100)
			leaving, staying, existing := b.open(store.Config{}), b.open(store.Config{}), b.open(store.Config{Existing: true})
			b.must(errors.Join(write(leaving, readAll), write(staying, readAll), write(existing, readAll)))
			change(b)
			before := b.files()
			for range 2 {
				b.meets(write(existing, note("a")), store.ErrNone, "going on with work that may make nothing")
			}
			if after := b.files(); !slices.Equal(after, before) {
				t.Errorf("there is %v, want %v: a home that was removed would come back", after, before)
			}
			b.s = b.open(store.Config{})
			b.write(note("first"))
			b.meets(write(existing, note("b")), store.ErrNone, "going on with that work in another database")
			leaving.Close() // SQLite removes a WAL by its name
			b.must(write(staying, note("last")))
			b.s = b.open(store.Config{})
			b.want(`SELECT group_concat(text) FROM notes WHERE text NOT LIKE '<%'`, "first,last") // no command finds another database
		})
	}
}

func TestADatabaseOfANewerOrAnotherProgramIsLeftAlone(t *testing.T) {
	newer, other := store.ErrNewer, store.ErrForeign
	for name, test := range map[string]struct {
		want       error
		statements string
	}{
		"newer, of the first schema": {newer, `PRAGMA user_version = 1003`},
		"newer, of the second":       {newer, `PRAGMA user_version = 2002`},
		"newer, of a third":          {newer, `PRAGMA user_version = 1001002`},
		"without a version":          {other, `CREATE TABLE letters (text)`},
		"with a table of ours":       {other, `CREATE TABLE notes (text)`},
		"with our version":           {other, `CREATE TABLE letters (text); PRAGMA user_version = 1002`},
		"with our first version":     {other, `CREATE TABLE notes (text); PRAGMA user_version = 1`},
		"with a mark of its own": {
			other, `CREATE TABLE notes (text); CREATE TABLE counter (n); PRAGMA user_version = 1; PRAGMA application_id = 7`},
		"with a mark and nothing": {other, `PRAGMA application_id = 7`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if test.want == newer {
				b.fill(1)
			}
			b.must(b.shell(test.statements).Close())
			before := b.content()
			for range 2 {
				b.meets(write(b.s, note("a")), test.want, "writing")
				if test.want == newer {
					b.meets(look(b.s), newer, "looking")
				}
				b.leave()
			}
			if !bytes.Equal(before, b.content()) {
				t.Error("it was changed, or set aside")
			}
		})
	}
}

// The file was written by the last program that knew schema 1.
func TestADatabaseOfSchema1IsMigratedWithNothingLost(t *testing.T) {
	b := newBench(t)
	content, err := os.ReadFile("../../testdata/schema1.db")
	b.must(err)
	b.overwrite(content)
	all := []store.Schema{{Migrations: migrations.Queue()}, {Migrations: migrations.Identity()}}
	b.s = b.open(store.Config{Schemas: all})
	b.meets(look(b.s), store.ErrOlder, "looking")
	b.meets(look(b.s), store.ErrNone, "looking")
	for query, want := range map[string]string{
		`SELECT count(*) FROM messages`:                                                        "7",
		`SELECT group_concat(substr(state, 1, 3), ' ' ORDER BY seq) FROM messages`:             "del del del dea pen pen pen",
		`SELECT group_concat(uuid || distinct_id) FROM messages WHERE hold IS NOT NULL`:        "",
		`SELECT group_concat(seq || ' ' || kind || ' ' || hold) FROM messages WHERE hold > ''`: "6 capture fp-bob,7 alias fp-bob",
		`SELECT count(*) FROM identities WHERE spoke`:                                          "2",
		`SELECT anon_id FROM identities WHERE retired_at IS NULL`:                              "22222222-2222-4222-8222-222222222222",
		`SELECT principal_id FROM principals`:                                                  "principal-ada",
		`SELECT digest FROM mirror`:                                                            "0123456789abcdef",
		`SELECT tracking FROM consent`:                                                         "1",
		`SELECT count(*) FROM delivery WHERE last_success_at > 0 AND waiting_until IS NULL`:    "1",
		`PRAGMA user_version`:                                                                  "2003",
		`PRAGMA integrity_check`:                                                               "ok",
	} {
		b.want(query, want)
	}
	b.must(b.s.View(context.Background(), func(*sql.Tx) error { return nil }))
}

func TestLeavingSyncsWithoutClosingAndALinkedDatabaseToo(t *testing.T) {
	b, elsewhere := newBench(t), t.TempDir()
	b.must(os.WriteFile(filepath.Join(elsewhere, "real.db"), nil, 0o600))
	if err := os.Symlink(filepath.Join(elsewhere, "real.db"), b.path); err != nil {
		t.Skip("no links here")
	}
	b.write(note("a"))
	b.must(b.s.Sync())
	wal := filepath.Join(elsewhere, "real.db-wal")
	if runtime.GOOS == "windows" { // where SQLite does not follow links to find it
		wal = b.path + "-wal"
	}
	if _, err := os.Stat(wal); err != nil {
		t.Errorf("the WAL is gone (%v): the last close checkpointed it, which Leave is there to avoid", err)
	}
}

func TestLeavingMovesALongWALIntoTheDatabase(t *testing.T) {
	b := newBench(t)
	b.write(note(strings.Repeat("x", 2<<20)))
	b.must(b.s.Sync())
	_, err := os.Stat(b.path + "-wal")
	b.meets(err, os.ErrNotExist, "looking for the WAL, all of which each command would read,")
}

func TestNotesHaveALimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	line := strings.Repeat("x", 1023)
	for range 100 {
		store.AddNote(path, line)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 64<<10 {
		t.Errorf("the notes are %v (%v), want the first 64 kB: they must not fill a disk that stays full", info, err)
	}
}

func TestANoteIsNotWrittenToWhatAPlantedLinkLeadsTo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("whoever may make a link there could write to its target as well")
	}
	for name, link := range map[string]func(target, path string) error{
		"a link": os.Symlink, "a hard link": os.Link,
		"a pipe": func(_, path string) error { return exec.Command("mkfifo", path).Run() }, // to write to it is to wait for a reader
	} {
		b := newBench(t)
		b.overwrite([]byte("theirs"))
		path := b.path + ".notes"
		b.must(link(b.path, path))
		store.AddNote(path, "a note")
		added, err := os.ReadFile(path)
		if theirs := string(b.content()); theirs != "theirs" || string(added) != "a note\n" {
			t.Errorf("%s leads to %q, want it untouched, and the note is %q (%v)", name, theirs, added, err)
		}
	}
}

// Later commits go into a file that is moved into the database one day: SQLite itself has to sync around that.
func TestOnlyTheFirstCommitOfANewDatabaseIsWithoutSQLitesSyncs(t *testing.T) {
	b := newBench(t)
	for _, want := range []string{"0", "1", "1"} { // OFF, NORMAL
		b.want(`PRAGMA synchronous`, want)
	}
}

// A command that is not served in time must end all the same.
func TestAContextEndsEveryWaitAtOnce(t *testing.T) {
	for name, block := range map[string]func(b *bench){
		"the write lock": func(b *bench) { b.hold() },
		"SQLite's own":   func(b *bench) { b.shell(`BEGIN IMMEDIATE`) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.write(note("a"))
			b.leave()
			block(b)
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			err := b.open(store.Config{LockWait: time.Hour, BusyWait: time.Hour}).Write(ctx, note("b"), nil)
			b.meets(err, context.DeadlineExceeded, "the wait of a person who pressed Ctrl-C")
		})
	}
}
