package outbox

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
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
	if _, err := acquire(path, patience{idle: 20 * time.Millisecond, most: time.Hour}); !errors.Is(err, errLocked) {
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

func TestTheWaitGoesOnWhileTheLockChangesHands(t *testing.T) {
	path, lock := hold(t)
	const n, each, idle = 40, 20 * time.Millisecond, 200 * time.Millisecond
	var crowd sync.WaitGroup
	for range n {
		crowd.Go(func() {
			lock, err := acquire(path, patience{idle: idle, most: time.Minute})
			if err != nil {
				t.Errorf("the wait ended although the lock changed hands every %s: %v", each, err)
				return
			}
			time.Sleep(each)
			lock.release()
		})
	}
	lock.release()
	crowd.Wait()
}

func TestTheWaitForALockThatChangesHandsHasAnEnd(t *testing.T) {
	path, lock := hold(t)
	defer lock.release()
	stop := make(chan struct{})
	var somebody sync.WaitGroup
	defer somebody.Wait() // a file in use cannot be removed on Windows
	defer close(stop)
	somebody.Go(func() { // somebody takes it all the time, it seems
		for at := time.Now(); ; at = at.Add(time.Second) {
			select {
			case <-stop:
				return
			default:
				os.Chtimes(path, at, at)
			}
		}
	})
	if _, err := acquire(path, patience{idle: time.Millisecond, most: 50 * time.Millisecond}); !errors.Is(err, errLocked) {
		t.Errorf("the longest wait ended with %v, want errLocked", err)
	}
}
