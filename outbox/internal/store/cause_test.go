package store_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// What is in the way is told as what it is, by whoever writes, looks or tries, and is left alone.
func TestWhatIsInTheDatabasesPlaceIsToldAndLeftAlone(t *testing.T) {
	for name, test := range map[string]struct {
		put   func(path string) error
		want  error
		above bool // in its directory's place
	}{
		"a directory":               {func(path string) error { return os.Mkdir(path, 0o700) }, store.ErrNotFile, false},
		"a link to a directory":     {func(path string) error { return os.Symlink(filepath.Dir(path), path) }, store.ErrNotFile, false},
		"a link that leads nowhere": {func(path string) error { return os.Symlink("nowhere", path) }, store.ErrDangling, false},
		"a link to itself":          {func(path string) error { return os.Symlink(path, path) }, store.ErrDangling, false},
		"a device":                  {func(path string) error { return os.Symlink(os.DevNull, path) }, store.ErrNotFile, false},
		"a pipe":                    {func(path string) error { return exec.Command("mkfifo", path).Run() }, store.ErrNotFile, false},
		"a file instead of its directory": {func(path string) error {
			return errors.Join(os.Remove(filepath.Dir(path)), os.WriteFile(filepath.Dir(path), nil, 0o600))
		}, store.ErrNotDirectory, true},
		"a link that leads nowhere instead of its directory": {func(path string) error {
			return errors.Join(os.Remove(filepath.Dir(path)), os.Symlink("nowhere", filepath.Dir(path)))
		}, store.ErrDangling, true},
		"a link to itself instead of its directory": {func(path string) error {
			return errors.Join(os.Remove(filepath.Dir(path)), os.Symlink("notes.db.d", filepath.Dir(path)))
		}, store.ErrDangling, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.path = filepath.Join(b.path+".d", "notes.db")
			if err := errors.Join(os.Mkdir(filepath.Dir(b.path), 0o700), test.put(b.path)); err != nil {
				t.Skip("it cannot be made here: ", err)
			}
			before, err := os.Lstat(b.path)
			if errors.Is(err, os.ErrNotExist) && !test.above {
				t.Skip("the system says that it has made a link, and there is none")
			}
			ends(t, "whoever asks who they are waits for ever", func() {
				for what, err := range map[string]error{
					"writing": write(b.open(store.Config{}), note("a")),
					"looking": look(b.open(store.Config{})),
					"trying":  b.open(store.Config{}).CheckWrite(context.Background()),
					"erasing": b.open(store.Config{}).Erase(context.Background(), note("a"), nil),
				} {
					if !errors.Is(err, test.want) {
						t.Errorf("%s gives %v, want %v", what, err, test.want)
					}
					var at *fs.PathError
					if test.above && what == "trying" && (!errors.As(err, &at) || at.Path != filepath.Dir(b.path)) {
						t.Errorf("it says %v of %v, want the path of what is in the way", err, at)
					}
					if err != nil && strings.Contains(err.Error(), "(14)") {
						t.Errorf("the error %q shows SQLite's number in place of the cause", err)
					}
				}
			})
			ran := false
			_ = b.open(store.Config{}).Locked(context.Background(), func() error { ran = true; return nil })
			if ran == test.above {
				t.Errorf("what has nothing to do with the database ran under the lock: %t", ran)
			}
			if after, _ := os.Lstat(b.path); before != nil && !os.SameFile(before, after) {
				t.Error("it was replaced")
			}
		})
	}
}

// A new home, a database and one that must be migrated: nothing is made, and nothing else is said than by a Write.
func TestTryingChangesNothing(t *testing.T) {
	for name, prepare := range map[string]func(b *bench){
		"a new home":   func(b *bench) {},
		"a database":   func(b *bench) { b.fill(3) },
		"an older one": func(b *bench) { b.s = b.open(store.Config{Schemas: older()}); b.fill(3) },
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
			b.must(b.open(store.Config{}).CheckWrite(context.Background()))
			if read() != before {
				t.Errorf("it has left %v, or changed something", b.beside(""))
			}
		})
	}
}
