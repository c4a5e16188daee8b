package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

func hold(t *testing.T) (path string, lock *store.FileLock) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "lock")
	if err := store.CreateFile(path); err != nil {
		t.Fatal(err)
	}
	lock, err := store.Lock(context.Background(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	return path, lock
}

func TestALockIsOnePersonsAtATime(t *testing.T) {
	path, lock := hold(t)
	if _, err := store.Lock(context.Background(), path, 0); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a second owner got %v, want ErrLocked", err)
	}
	if !store.IsLocked(path) {
		t.Error("a lock that is held looks free")
	}
	lock.Release()
	if store.IsLocked(path) {
		t.Error("a lock that was released looks held")
	}
	again, err := store.Lock(context.Background(), path, 0)
	if err != nil {
		t.Fatalf("a released lock cannot be had: %v", err)
	}
	again.Release()
}

func TestAskingForALockMakesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if store.IsLocked(path) {
		t.Error("a lock that nobody ever took looks held")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("asking made the file")
	}
}

func TestAWaitThatIsGivenUpTakesNothing(t *testing.T) {
	canceled, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	for name, wait := range map[string]func(path string) error{
		"when its time is over": func(path string) error {
			_, err := store.Lock(context.Background(), path, 20*time.Millisecond)
			return err
		},
		"when its context ends": func(path string) error {
			_, err := store.Lock(canceled, path, time.Hour)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, lock := hold(t)
			if err := wait(path); !errors.Is(err, store.ErrLocked) && !errors.Is(err, context.Canceled) {
				t.Errorf("behind a holder that does nothing the wait ended with %v", err)
			}
			lock.Release()
			// The wait that was given up may still be granted the lock; it must give it back at once.
			again, err := store.Lock(context.Background(), path, 5*time.Second)
			if err != nil {
				t.Fatalf("the lock was kept by somebody who had given up: %v", err)
			}
			again.Release()
		})
	}
}

func TestATransactionWithinTheLockTakesItOnce(t *testing.T) {
	b := newBench(t)
	b.s = b.open(store.Config{LockWait: time.Hour})
	ends(t, "it waits for the lock that it holds itself", func() {
		err := b.s.Locked(context.Background(), func() error {
			if !store.IsLocked(b.path + ".lock") {
				t.Error("the lock is not held")
			}
			return b.s.Write(context.Background(), note("a"), nil)
		})
		if err != nil {
			t.Error(err)
		}
	})
	if store.IsLocked(b.path + ".lock") {
		t.Error("the lock is held for ever")
	}
}
