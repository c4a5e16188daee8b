//go:build unix

package identity

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// checkPrivate checks that path is a file that only its owner can read.
func checkPrivate(t *testing.T, path string) {
	t.Helper()
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%s is %v, %v; want a file of mode 600", filepath.Base(path), info, err)
	}
}

// lockedMirror returns a usage.json that this test holds a lock of kind how on,
// through a descriptor of its own, as another process would.
func lockedMirror(t *testing.T, how int) (path string, release func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "usage.json")
	put(t, path, string(Mirror{AnonID: someUUID}.Encode()))
	holder, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { holder.Close() })
	must(t, unix.Flock(int(holder.Fd()), how))
	return path, func() { holder.Close() }
}

func TestAMirrorBeingWrittenIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, _ := lockedMirror(t, unix.LOCK_EX)
		start := time.Now()
		_, _, err := ReadMirror(path)
		if !errors.Is(err, ErrMirrorBusy) || errors.Is(err, ErrMirrorInvalid) {
			t.Errorf("got %v; want ErrMirrorBusy, because half a file must be neither adopted nor replaced", err)
		}
		if waited := time.Since(start); waited > mirrorPatience {
			t.Errorf("a command waited %v for another program's lock; want %v", waited, mirrorPatience)
		}
	})
}

func TestAMirrorIsReadOnceItsWriterIsDone(t *testing.T) {
	path, release := lockedMirror(t, unix.LOCK_EX)
	done := make(chan error)
	go func() {
		_, _, err := ReadMirror(path)
		done <- err
	}()
	release()
	if err := <-done; err != nil {
		t.Errorf("got %v; want the file, its writer has gone", err)
	}
}

func TestReadersShareTheMirror(t *testing.T) {
	path, _ := lockedMirror(t, unix.LOCK_SH)
	if _, _, err := ReadMirror(path); err != nil {
		t.Errorf("got %v; want the file, the Python CLI only reads it too", err)
	}
}

func TestANamedPipeDoesNotHoldACommandUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.json")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	// No process ever writes to it: a plain open would wait for ever.
	if _, _, err := ReadMirror(path); !errors.Is(err, errNotRegular) {
		t.Errorf("got %v; want an error that says what it is", err)
	}
	if _, err := (CredentialsFile{Path: path}).Read(); !errors.Is(err, errNotRegular) {
		t.Errorf("got %v; want an error that says what it is", err)
	}
}
