package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// keepOpen opens a file as a backup or a virus scanner does, and lets others do only what share says with it.
func keepOpen(t *testing.T, path string, share uint32) (release func()) {
	t.Helper()
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := windows.CreateFile(name, windows.GENERIC_READ, share, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func() { windows.CloseHandle(file) }
}

func TestADatabaseThatAnotherProgramHoldsIsLocked(t *testing.T) {
	for name, test := range map[string]struct {
		share  uint32
		copies int // once it is free
	}{
		"for itself":                      {0, 0},
		"so that it can only be read":     {windows.FILE_SHARE_READ, 0},
		"damaged, so that it cannot move": {windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fill(1)
			if test.copies > 0 {
				b.overwrite(make([]byte, 8192))
			}
			release := keepOpen(t, b.path, test.share)
			b.meets(write(b.open(store.Config{}), note("b")), store.ErrLocked, "writing meanwhile")
			b.copied(0)
			release()
			b.write(note("b"))
			b.copied(test.copies)
		})
	}
}

func TestAMissingDirectoryIsNoneOfTheCauses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "credentials.yaml")
	_, err := os.ReadFile(path)
	if cause := store.FileTrouble(path, err); cause != nil {
		t.Errorf("a fresh profile has no credentials (%v), and it is called %v", err, cause)
	}
}

// The prefix takes a path to the system as it is; a share has no letter.
func TestAHomeMayBeNamedAsTheSystemNamesIt(t *testing.T) {
	for _, prefix := range []string{`\\?\`, `\\.\`, `\\localhost\`} {
		t.Run(prefix, func(t *testing.T) {
			b := newBench(t)
			if b.path = prefix + b.path; prefix == `\\localhost\` {
				b.path = prefix + b.path[len(prefix):len(prefix)+1] + "$" + b.path[len(prefix)+2:]
			}
			if _, err := os.Stat(filepath.Dir(b.path)); err != nil {
				t.Skip("no such path here: ", err)
			}
			b.s = b.open(store.Config{})
			b.write(note("a"))
			b.holds(1)
			b.leave()
		})
	}
}
