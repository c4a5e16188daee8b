package outbox

import (
	"errors"
	"os"
	"time"
)

// errLocked means that another process holds the lock, and still did when the wait was over.
var errLocked = errors.New("locked by another process")

// fileLock is an exclusive lock on a side file. The kernel frees it when the process dies.
type fileLock struct {
	file *os.File
}

// acquire takes the lock on the file at path, creating the file (0600) if need be. The file is
// never removed: a process could otherwise lock a file that no other process can find.
func acquire(path string, wait time.Duration) (*fileLock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = lockFile(file, exclusive|immediately)
	if errors.Is(err, errLocked) && wait > 0 {
		return acquireWithin(file, wait)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &fileLock{file}, nil
}

// acquireWithin waits in the kernel's queue rather than by polling: in a crowd, polling
// makes the unlucky wait several times as long. The wait itself cannot be cancelled, so after
// the bound it goes on in the background and gives the lock back as soon as it is granted.
func acquireWithin(file *os.File, wait time.Duration) (*fileLock, error) {
	granted := make(chan error, 1)
	go func() { granted <- lockFile(file, exclusive) }()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case err := <-granted:
		if err != nil {
			file.Close()
			return nil, err
		}
		return &fileLock{file}, nil
	case <-timer.C:
		go func() {
			<-granted
			file.Close()
		}()
		return nil, errLocked
	}
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
