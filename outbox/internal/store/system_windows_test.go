package store_test

import (
	"context"
	"errors"
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
	for name, share := range map[string]uint32{
		"for itself":                      0,
		"so that it can only be read":     windows.FILE_SHARE_READ,
		"damaged, so that it cannot move": windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.write(note("a"))
			b.leave()
			damaged := share&windows.FILE_SHARE_WRITE != 0
			if damaged {
				b.overwrite(make([]byte, 8192))
			}
			release := keepOpen(t, b.path, share)
			err := b.open(store.Config{}).Write(context.Background(), note("b"), nil)
			if !errors.Is(err, store.ErrLocked) {
				t.Errorf("it says %v, want ErrLocked", err)
			}
			if found := b.copies(); len(found) != 0 {
				t.Errorf("there are copies: %v", found)
			}
			release()
			b.write(note("b"))
			if found := b.copies(); damaged != (len(found) == 1) {
				t.Errorf("once it is free the copies are %v, want one of a damaged database", found)
			}
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
			if n := b.one(`SELECT count(*) FROM notes`); n != "1" {
				t.Errorf("%s notes are there, want one", n)
			}
			b.leave()
		})
	}
}
