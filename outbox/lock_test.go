package outbox

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

func hold(t *testing.T) (path string, lock *fileLock) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "lock")
	lock, err := acquire(path, patience{})
	if err != nil {
		t.Fatal(err)
	}
	return path, lock
}

func TestALockIsOnePersonsAtATime(t *testing.T) {
	path, lock := hold(t)
	if _, err := acquire(path, patience{}); !errors.Is(err, errLocked) {
		t.Errorf("a second owner got %v, want errLocked", err)
	}
	if !isHeld(path) {
		t.Error("a lock that is held looks free")
	}
	lock.release()
	if isHeld(path) {
		t.Error("a lock that was released looks held")
	}
	again, err := acquire(path, patience{})
	if err != nil {
		t.Fatalf("a released lock cannot be had: %v", err)
	}
	again.release()
}

func TestTheWaitForAStoppedHolderEndsAndTakesNothing(t *testing.T) {
	path, lock := hold(t)
	if _, err := acquire(path, patience{idle: 20 * time.Millisecond, most: time.Hour, sign: func() any { return 1 }}); !errors.Is(err, errLocked) {
		t.Errorf("behind a holder that does nothing the wait ended with %v, want errLocked", err)
	}
	lock.release()
	// The wait that was given up may still be granted the lock; it must give it back at once.
	again, err := acquire(path, patience{idle: 5 * time.Second, most: 5 * time.Second})
	if err != nil {
		t.Fatalf("the lock was kept by somebody who had given up: %v", err)
	}
	again.release()
}

func TestTheWaitGoesOnWhileOthersGetOnButNotForever(t *testing.T) {
	path, lock := hold(t)
	var looks atomic.Int64
	getsOn := func() any {
		if looks.Add(1) == 20 {
			lock.release()
		}
		return looks.Load()
	}
	again, err := acquire(path, patience{idle: time.Millisecond, most: time.Minute, sign: getsOn})
	if err != nil {
		t.Fatalf("the wait ended although the others got on: %v", err)
	}
	if _, err := acquire(path, patience{idle: time.Millisecond, most: 20 * time.Millisecond, sign: getsOn}); !errors.Is(err, errLocked) {
		t.Errorf("the longest wait ended with %v, want errLocked", err)
	}
	again.release()
}
