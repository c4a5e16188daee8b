package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// The tables of the tests: notes, as a queue would have it, and a table with one row of a migration.
func schemas() []store.Schema {
	return []store.Schema{
		{Migrations: fstest.MapFS{
			"0001_notes.sql": file(`CREATE TABLE notes (seq INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL UNIQUE) STRICT;
				CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), n INTEGER NOT NULL) STRICT;
				INSERT INTO counter (id, n) VALUES (1, 0);`),
			"0002_index.sql": file(`CREATE INDEX notes_text ON notes (text, seq);`),
		}},
		{Migrations: fstest.MapFS{
			"0001_tags.sql": file(`CREATE TABLE tags (name TEXT PRIMARY KEY) WITHOUT ROWID;`),
		}},
	}
}

// older is without the last migration.
func older() []store.Schema {
	all := schemas()
	delete(all[0].Migrations.(fstest.MapFS), "0002_index.sql")
	return all
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

const (
	childVariable = "STORE_TEST_CHILD"
	killVariable  = "STORE_TEST_KILL_AT"
)

// TestMain makes a child of the test binary a process that writes one note and may be killed at a point.
func TestMain(m *testing.M) {
	path := os.Getenv(childVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread() // strace counts the calls of each thread
	s := store.New(store.Config{Path: path, Schemas: schemas(), LockWait: 200 * time.Millisecond, Point: func(name string) {
		if name == os.Getenv(killVariable) {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			panic(fmt.Sprint("not killed: ", err))
		}
	}})
	err := write(s, func(tx *sql.Tx) error {
		return errors.Join(readAll(tx), note("the child's "+strconv.Itoa(os.Getpid()))(tx))
	})
	if err := errors.Join(err, s.Sync()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

type bench struct {
	*testing.T
	path   string
	s      *store.Store
	points func(name string)
}

// newBench returns a store without a database, in a directory that is missing when it is named.
func newBench(t *testing.T, missing ...string) *bench {
	t.Helper()
	b := &bench{T: t, path: filepath.Join(t.TempDir(), filepath.Join(missing...), "notes.db")}
	b.s = b.open(store.Config{})
	return b
}

// open returns another view of the same file, as another process would have it.
func (b *bench) open(cfg store.Config) *store.Store {
	cfg.Path, cfg.Point = b.path, func(name string) {
		if b.points != nil {
			b.points(name)
		}
	}
	if cfg.Schemas == nil {
		cfg.Schemas = schemas()
	}
	s := store.New(cfg)
	b.Cleanup(func() { s.Close() })
	return s
}

// child runs a process that writes one note, to be killed at a point, "" being none.
func (b *bench) child(killAt string) error {
	return b.run(exec.Command(os.Args[0]), killVariable+"="+killAt)
}

// run runs a command that runs the test binary as such a process. What it says is in the error.
func (b *bench) run(cmd *exec.Cmd, env ...string) error {
	cmd.Env = append(append(os.Environ(), childVariable+"="+b.path), env...)
	said, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

func note(text string) func(tx *sql.Tx) error { return do(`INSERT INTO notes (text) VALUES (?)`, text) }

func do(statements string, args ...any) func(tx *sql.Tx) error {
	return func(tx *sql.Tx) error {
		_, err := tx.Exec(statements, args...)
		return err
	}
}

func readAll(tx *sql.Tx) error {
	var length sql.NullInt64
	return tx.QueryRow(`SELECT sum(length(text)) FROM notes NOT INDEXED`).Scan(&length)
}

func (b *bench) write(fn func(tx *sql.Tx) error) {
	b.Helper()
	b.must(write(b.s, fn))
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// meets checks which error something gives.
func (b *bench) meets(err, want error, what string) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Errorf("%s gives %v, want %v", what, err, want)
	}
}

// write ends. The waits that it must not make are an hour long, so that a busy machine decides nothing.
func write(s *store.Store, fn func(tx *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return s.Write(ctx, fn, nil)
}

func look(s *store.Store) error { return s.View(context.Background(), readAll) }

// hold takes the write lock, as another process does. A wait that was given up may be granted it first, and gives it back.
func (b *bench) hold() io.Closer {
	b.Helper()
	lock, err := store.Lock(context.Background(), b.path+".lock", time.Minute)
	b.must(err)
	b.Cleanup(func() { lock.Close() }) // also keeps it: the garbage collector would close its file
	return lock
}

// shell runs statements as a user does with a SQLite shell, which stays open.
func (b *bench) shell(statements string) *sql.DB {
	b.Helper()
	db, err := sql.Open("sqlite", b.path)
	b.must(err)
	b.Cleanup(func() { db.Close() })
	_, err = db.Exec(statements)
	b.must(err)
	return db
}

// fill writes n notes, ten to a page, and moves them all into the database.
func (b *bench) fill(n int) {
	b.Helper()
	b.write(func(tx *sql.Tx) (err error) {
		for i := range n {
			err = errors.Join(err, note(numbered(i))(tx))
		}
		return err
	})
	b.leave()
}

func numbered(i int) string { return fmt.Sprintf("<%d>%s", i, strings.Repeat("x", 350)) }

// leave ends the process: everything is in the database then.
func (b *bench) leave() {
	b.Helper()
	b.must(b.s.Close())
}

// want checks what a query gives.
func (b *bench) want(query, want string) {
	b.Helper()
	var got sql.NullString
	b.write(func(tx *sql.Tx) error { return tx.QueryRow(query).Scan(&got) })
	if got.String != want {
		b.Errorf("%s gives %q, want %q", query, got.String, want)
	}
}

// holds checks how many notes are there.
func (b *bench) holds(n int) {
	b.Helper()
	b.want(`SELECT count(*) FROM notes`, strconv.Itoa(n))
}

func (b *bench) count() (n int) {
	b.Helper()
	b.write(func(tx *sql.Tx) error { return tx.QueryRow(`SELECT count(*) FROM notes`).Scan(&n) })
	return n
}

func (b *bench) content() []byte {
	b.Helper()
	content, err := os.ReadFile(b.path)
	b.must(err)
	return content
}

func (b *bench) overwrite(content []byte) {
	b.Helper()
	b.must(os.WriteFile(b.path, content, 0o600))
}

const pageSize = 4096 // SQLite's default, in bytes

// put overwrites a part of the database.
func (b *bench) put(at int, content ...byte) {
	b.Helper()
	b.overwrite(slices.Replace(b.content(), at, at+len(content), content...))
}

func garbage(size int) []byte { return bytes.Repeat([]byte{0xAB}, size) }

// damage overwrites the table's page that holds the n-th note, which whoever reads all of them meets.
func (b *bench) damage(n int) {
	b.Helper()
	b.leave()
	const tablePage = 0x0d // https://www.sqlite.org/fileformat.html#b_tree_pages
	for at, page := range slices.Collect(slices.Chunk(b.content(), pageSize)) {
		if page[0] == tablePage && bytes.Contains(page, fmt.Appendf(nil, "<%d>", n)) {
			b.put(at*pageSize, garbage(pageSize)...)
			return
		}
	}
	b.Fatalf("the note %d is not in the database", n)
}

// files returns the paths of what is in the database's directory.
func (b *bench) files() []string {
	b.Helper()
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(b.path), "*"))
	b.must(err)
	return paths
}

// copied checks how many databases were set aside, and returns their paths.
func (b *bench) copied(n int) []string {
	b.Helper()
	paths, err := b.s.Copies()
	if err != nil || len(paths) != n {
		b.Errorf("the copies are %v (%v), want %d", paths, err, n)
	}
	return paths
}

// isWhole checks that the database is sound, and that nothing is left half done beside it.
func (b *bench) isWhole() {
	b.Helper()
	b.want(`PRAGMA integrity_check`, "ok")
	whole := regexp.MustCompile(`notes\.db(-wal|-shm|\.lock|\.damaged-[^-]*(-wal|-shm)?)?$`)
	for _, path := range b.files() {
		if strings.HasPrefix(path, b.path) && !whole.MatchString(path) {
			b.Errorf("%s is left", path)
		}
	}
}
