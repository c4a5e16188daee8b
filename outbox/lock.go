package outbox

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// errLocked means that another process holds the lock, and still did when the wait was over.
var errLocked = errors.New("locked by another process")

// fileLock is an exclusive lock on a side file. The kernel frees it when the process dies.
type fileLock struct {
	file *os.File
}

// patience says how long to wait for a lock.
type patience struct {
	idle time.Duration // while it stays in the same hands; 0 is not at all
	most time.Duration // while it changes hands
}

// acquire takes the lock on the file at path, creating the file (0600) if need be. The file is
// never removed: a process could otherwise lock a file that no other process can find.
func acquire(path string, p patience) (*fileLock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = lockFile(file, exclusive|immediately)
	if errors.Is(err, errLocked) && p.idle > 0 {
		return acquireWithin(file, p)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return take(file), nil
}

// take makes a lock of a file that is locked.
func take(file *os.File) *fileLock {
	lock := &fileLock{file}
	lock.stamp()
	return lock
}

// stamp writes into the file who has the lock. Those who wait see by its time that the lock has
// changed hands, or that its holder gets on; an error (a full disk) only makes them give up early.
func (l *fileLock) stamp() {
	_, _ = l.file.WriteAt(fmt.Appendf(nil, "%20d\n", os.Getpid()), 0)
}

// acquireWithin waits in the kernel's queue rather than by polling: in a crowd, polling
// makes the unlucky wait several times as long. The wait itself cannot be cancelled, so after
// the bound it goes on in the background and gives the lock back as soon as it is granted.
func acquireWithin(file *os.File, p patience) (*fileLock, error) {
	granted := make(chan error, 1)
	go func() { granted <- lockFile(file, exclusive) }()
	came, err := receiveWhile(granted, file, p)
	switch {
	case !came:
		go func() {
			<-granted
			file.Close()
		}()
		return nil, errLocked
	case err != nil:
		file.Close()
		return nil, err
	default:
		return take(file), nil
	}
}

// receiveWhile waits for the lock as long as it changes hands or its holder stamps it: in a crowd of
// hundreds the last one's turn comes late, but behind a holder that is stopped it never comes. That
// the database changes is no sign: those who have given up change it, too.
func receiveWhile(granted <-chan error, file *os.File, p patience) (came bool, err error) {
	deadline := time.Now().Add(p.most)
	for {
		before := lastTaken(file)
		select {
		case err := <-granted:
			return true, err
		case <-time.After(p.idle):
			if lastTaken(file).Equal(before) || time.Now().After(deadline) {
				return false, nil
			}
		}
	}
}

// lastTaken asks by name: on Windows a file that is waiting for its lock answers nothing else.
func lastTaken(file *os.File) time.Time {
	info, err := os.Stat(file.Name())
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// isHeld tells whether another process holds the lock on path, without taking it.
func isHeld(path string) bool {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil { // never locked by anybody, or not ours to know
		return false
	}
	defer file.Close()
	return errors.Is(lockFile(file, immediately), errLocked)
}

func (l *fileLock) release() {
	l.file.Close()
}

// lockMode is a set of flags for lockFile. Without exclusive the lock is shared.
type lockMode int

const (
	exclusive lockMode = 1 << iota
	immediately
)
