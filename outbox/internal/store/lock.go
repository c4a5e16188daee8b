package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// FileLock is an exclusive lock on a file. The kernel frees it when the process dies.
type FileLock struct {
	file *flock.Flock // nil: on a file system without such locks
}

// Lock takes the lock on the file at path, creating the file (0600) if need be, and waits for it at most as long as given; 0 is not
// at all. ErrLocked says that the wait was in vain; when ctx ends, its error comes back at once. The file is never removed: a
// process could otherwise lock a file that no other process can find.
func Lock(ctx context.Context, path string, wait time.Duration) (*FileLock, error) {
	lock, err := LockExisting(ctx, path, wait)
	if errors.Is(err, fs.ErrNotExist) {
		if err := CreateFile(path); err != nil {
			return nil, err
		}
		return LockExisting(ctx, path, wait)
	}
	return lock, err
}

// LockExisting is Lock without making the file: without one the error is an fs.ErrNotExist.
//
// It waits in the kernel's queue rather than by polling: in a crowd, polling makes the unlucky wait several times as long. That
// wait cannot be ended, so what is given up goes on in the background and gives the lock back as soon as it is granted.
func LockExisting(ctx context.Context, path string, wait time.Duration) (*FileLock, error) {
	return lockInQueue(ctx, path, wait, func() bool { return false })
}

// lockInQueue is LockExisting that waits once more as long, in its place in the queue, when more says so.
func lockInQueue(ctx context.Context, path string, wait time.Duration, more func() bool) (*FileLock, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file := flock.New(path, flock.SetFlag(os.O_RDWR))
	took, err := uninterrupted(file.TryLock)
	switch {
	case err != nil:
		return nil, err
	case took:
		return &FileLock{file}, nil
	case wait <= 0:
		return nil, ErrLocked
	}
	granted := make(chan error, 1)
	go func() {
		_, err := uninterrupted(func() (bool, error) { return true, file.Lock() })
		granted <- err
	}()
	patience := time.NewTimer(wait)
	defer patience.Stop()
	for again := true; err == nil; {
		select {
		case err := <-granted:
			if err != nil {
				return nil, err
			}
			return &FileLock{file}, nil
		case <-patience.C:
			if !again || !more() {
				err = ErrLocked
			}
			again = false
			patience.Reset(wait)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	go func() {
		<-granted
		file.Close()
	}()
	return nil, err
}

// uninterrupted begins again what a signal has ended, as it does on some file systems.
func uninterrupted(lock func() (bool, error)) (took bool, err error) {
	for took, err = lock(); errors.Is(err, syscall.EINTR); {
		took, err = lock()
	}
	return took, err
}

// Release gives the lock back.
func (l *FileLock) Release() {
	if l.file != nil {
		_ = l.file.Close() // a file that is only locked is closed without an error that matters
	}
}

// IsLocked tells whether another process holds the lock on path, without keeping it from anybody for longer than a moment.
func IsLocked(path string) bool {
	file := flock.New(path, flock.SetFlag(os.O_RDWR))
	took, err := uninterrupted(file.TryRLock)
	if err != nil { // never locked by anybody, or not ours to know
		return false
	}
	defer file.Close()
	return !took
}

const (
	// shortWait is how long a lock is waited for that somebody has just waited for in vain, and vainTime how long that counts.
	shortWait = 250 * time.Millisecond
	vainTime  = time.Minute
)

// noteVain notes that our lock was waited for in vain, or SQLite's, too. Only those look who do not get theirs at once: the time of
// our lock's file is when that no longer counts, a vainTime later if it is SQLite's.
func noteVain(lock string, sqlites bool) {
	until := time.Now().Add(vainTime)
	if sqlites {
		until = until.Add(vainTime)
	}
	_ = os.Chtimes(lock, until, until) // without it, the next one waits longer
}

// wasVain tells whether our lock, or SQLite's, was waited for in vain lately, and nobody has written to the database since.
func wasVain(lock, database string, sqlites bool) bool {
	info, err := os.Stat(lock)
	if err != nil {
		return false
	}
	left, noted := time.Until(info.ModTime()), info.ModTime().Add(-vainTime)
	if left > vainTime {
		left, noted = left-vainTime, noted.Add(-vainTime)
	} else if sqlites {
		return false
	}
	return left > 0 && left <= vainTime && !writtenAfter(database, noted)
}
