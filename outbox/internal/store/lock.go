package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// Lock takes an exclusive lock on the file at path; without the file the error is an fs.ErrNotExist. Close releases the lock, and so does
// the kernel when the process dies. The file is never removed: a process could otherwise lock a file that no other process can find.
//
// Lock waits at most as long as given, 0 being not at all, and then returns ErrLocked; when ctx ends, its error comes back at once.
// It waits in the kernel's queue rather than by polling: in a crowd, polling makes the unlucky wait several times as long. That
// wait cannot be ended, so an abandoned one goes on in the background and gives the lock back as soon as it is granted.
func Lock(ctx context.Context, path string, wait time.Duration) (*flock.Flock, error) {
	file := flock.New(path, flock.SetFlag(os.O_RDWR))
	took, err := uninterrupted(file.TryLock)
	switch {
	case took, errors.Is(err, errors.ErrUnsupported): // the file system has no locks, so no process has any
		return file, nil
	case err != nil:
		return nil, err
	case wait <= 0:
		return nil, ErrLocked
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait, ErrLocked)
	defer cancel()
	granted := make(chan error)
	go func() {
		_, err := uninterrupted(func() (bool, error) { return true, file.Lock() })
		select {
		case granted <- err:
		case <-ctx.Done(): // it is received no more
			file.Close()
		}
	}()
	select {
	case err := <-granted:
		return file, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// uninterrupted begins again what a signal interrupts, as it does on some file systems.
func uninterrupted(lock func() (bool, error)) (took bool, err error) {
	for took, err = lock(); errors.Is(err, syscall.EINTR); {
		took, err = lock()
	}
	return took, err
}

// IsLocked reports whether another process holds the lock on path. It holds the lock itself for a moment at most.
func IsLocked(path string) bool {
	file := flock.New(path, flock.SetFlag(os.O_RDWR))
	took, err := uninterrupted(file.TryRLock)
	if err != nil { // never locked, or not ours to know
		return false
	}
	defer file.Close()
	return !took
}

const (
	// shortWait is the wait for a lock for which another process has just waited in vain, and vainTime how long that counts.
	shortWait = 250 * time.Millisecond
	vainTime  = time.Minute
)

// noteVain notes that a wait, for our lock or for SQLite's, was in vain; it counts until the modification time of our lock's file.
func noteVain(lock string, counts time.Duration) {
	until := time.Now().Add(counts)
	_ = os.Chtimes(lock, until, until) // without it, the next process waits longer
}

// wasVain reports whether a wait was in vain lately. The first commit of a process that finds that, and holds the lock, ends it.
func wasVain(lock string) bool {
	info, err := os.Stat(lock)
	if err != nil {
		return false
	}
	left := time.Until(info.ModTime())
	return left > 0 && left <= vainTime
}

// turn lets one goroutine at a time use a store. Unlike a mutex it may be taken again by the goroutine that has it, and a wait for it
// ends with a context.
type turn struct {
	taken chan struct{}
	owner atomic.Int64 // 0: free
}

// take waits for the turn and returns what ends it. nested reports that this goroutine has it already. The error is ctx's.
func (t *turn) take(ctx context.Context) (end func(), nested bool, err error) {
	self := goroutine()
	if t.owner.Load() == self {
		return func() {}, true, nil
	}
	select {
	case t.taken <- struct{}{}:
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	t.owner.Store(self)
	return func() {
		t.owner.Store(0)
		<-t.taken
	}, false, nil
}

// goroutine returns this goroutine's number, which Go shows only at the beginning of its stack ("goroutine 7 [running]"). It costs
// a microsecond and no system call.
func goroutine() int64 {
	var stack [64]byte
	fields := bytes.Fields(stack[:runtime.Stack(stack[:], false)])
	n, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil { // Go has changed its form
		panic(err)
	}
	return n
}
