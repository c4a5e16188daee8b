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
	link := func(to string) func(path string) error {
		return func(path string) error { return os.Symlink(to, path) }
	}
	for name, test := range map[string]struct {
		put   func(path string) error
		want  error
		above bool // in its directory's place
	}{
		"a directory":               {func(path string) error { return os.Mkdir(path, 0o700) }, store.ErrNotFile, false},
		"a link that leads nowhere": {link("nowhere"), store.ErrDangling, false},
		"a link to itself":          {link("notes.db"), store.ErrDangling, false},
		"a link to a device":        {link(os.DevNull), store.ErrNotFile, false},
		"a pipe":                    {func(path string) error { return exec.Command("mkfifo", path).Run() }, store.ErrNotFile, false},
		"a file instead of its directory": {
			func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, store.ErrNotDirectory, true},
		"a link that leads nowhere instead of its directory": {link("nowhere"), store.ErrDangling, true},
		"a link to itself instead of its directory":          {link("home"), store.ErrDangling, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "home")
			dir := filepath.Dir(b.path)
			at := dir
			if !test.above {
				at = b.path
				b.must(os.Mkdir(dir, 0o700))
			}
			if err := test.put(at); err != nil {
				t.Skip("it cannot be made here: ", err)
			}
			before, err := os.Lstat(at)
			if err != nil {
				t.Skip("the system says that it has made a link, and there is none")
			}
			for what, err := range map[string]error{
				"writing": write(b.open(store.Config{}), note("a")),
				"looking": look(b.open(store.Config{})),
				"trying":  b.open(store.Config{}).CheckWrite(context.Background()),
				"erasing": b.open(store.Config{}).Erase(context.Background(), note("a"), nil),
			} {
				if !errors.Is(err, test.want) || strings.Contains(err.Error(), "(14)") {
					t.Errorf("%s gives %v, want %v and not SQLite's number", what, err, test.want)
				}
				var said *fs.PathError
				if test.above && what == "trying" && (!errors.As(err, &said) || said.Path != dir) {
					t.Errorf("it says %v of %v, want the path of what is in the way", err, said)
				}
			}
			ran := false
			_ = b.open(store.Config{}).Locked(context.Background(), func() error { ran = true; return nil })
			if ran == test.above {
				t.Errorf("what has nothing to do with the database ran under the lock: %t", ran)
			}
			if after, err := os.Lstat(at); err != nil || !os.SameFile(before, after) {
				t.Errorf("it was replaced (%v)", err)
			}
		})
	}
}

func TestLookingAndTryingChangeNothing(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(b *bench)
		looked  error
	}{
		"a new home":   {func(*bench) {}, store.ErrNone},
		"a database":   {func(b *bench) { b.fill(3) }, nil},
		"an older one": {func(b *bench) { b.s = b.open(store.Config{Schemas: older()}); b.fill(3) }, store.ErrOlder},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			test.prepare(b)
			read := func() (content string) {
				for _, path := range b.files() {
					if !strings.HasSuffix(path, "-wal") && !strings.HasSuffix(path, "-shm") {
						part, _ := os.ReadFile(path)
						content += path + string(part)
					}
				}
				return content
			}
			before, other := read(), b.open(store.Config{})
			b.must(other.CheckWrite(context.Background()))
			b.meets(look(other), test.looked, "looking")
			if err := other.View(context.Background(), note("b")); test.looked == nil && !store.IsOnlyForReading(err) {
				t.Errorf("a look that writes gives %v, want that it only reads", err)
			}
			if read() != before {
				t.Errorf("it has left %v, or changed something", b.files())
			}
		})
	}
}
