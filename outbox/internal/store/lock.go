package store

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// lockSuffix names the file of the write lock.
const lockSuffix = ".lock"

// FileLock is an exclusive lock on a file. The kernel frees it when the process dies.
type FileLock struct {
	file *flock.Flock
}

// Lock takes the lock on the file at path, creating the file (0600) if need be, and waits for it at
// most as long as given; 0 is not at all. ErrLocked says that the wait was in vain; when ctx ends,
// its error comes back at once. The file is never removed: a process could otherwise lock a file
// that no other process can find.
func Lock(ctx context.Context, path string, wait time.Duration) (*FileLock, error) {
	if err := MakeLock(path); err != nil {
		return nil, err
	}
	return LockExisting(ctx, path, wait)
}

// MakeLock makes the file of a lock, if it is not there yet.
func MakeLock(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return CreateFile(path)
}

// LockExisting is Lock without making the file: without one the error is an fs.ErrNotExist.
//
// It waits in the kernel's queue rather than by polling: in a crowd, polling makes the unlucky wait
// several times as long. That wait cannot be ended, so what is given up goes on in the background
// and gives the lock back as soon as it is granted.
func LockExisting(ctx context.Context, path string, wait time.Duration) (*FileLock, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file := flock.New(path, flock.SetFlag(os.O_RDWR))
	took, err := file.TryLock()
	switch {
	case err != nil:
		return nil, err
	case took:
		return &FileLock{file}, nil
	case wait <= 0:
		return nil, ErrLocked
	}
	granted := make(chan error, 1)
	go func() { granted <- lockInQueue(file) }()
	patience := time.NewTimer(wait)
	defer patience.Stop()
	select {
	case err := <-granted:
		if err != nil {
			return nil, err
		}
		return &FileLock{file}, nil
	case <-patience.C:
		err = ErrLocked
	case <-ctx.Done():
		err = ctx.Err()
	}
	go func() {
		<-granted
		file.Close()
	}()
	return nil, err
}

// lockInQueue starts again when a signal has ended the wait, as it does on some file systems.
func lockInQueue(file *flock.Flock) (err error) {
	for err = file.Lock(); errors.Is(err, syscall.EINTR); {
		err = file.Lock()
	}
	return err
}

// Release gives the lock back.
func (l *FileLock) Release() { _ = l.file.Close() } // closing a file that is only locked cannot fail in a way that matters

// IsLocked tells whether another process holds the lock on path, without keeping it from anybody for
// longer than a moment.
func IsLocked(path string) bool {
	file := flock.New(path, flock.SetFlag(os.O_RDWR))
	took, err := file.TryRLock()
	if err != nil { // never locked by anybody, or not ours to know
		return false
	}
	defer file.Close()
	return !took
}
