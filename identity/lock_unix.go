//go:build unix

package identity

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openNonBlocking keeps the opening of a named pipe from waiting for a writer.
// It means nothing to a regular file.
const openNonBlocking = unix.O_NONBLOCK

// tryLockShared takes a shared advisory lock on f, which closing f gives back.
// It reports false when another process holds an exclusive one. A file system
// that knows no locks counts as locked: everybody replaces these files whole.
func tryLockShared(f *os.File) bool {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return !errors.Is(err, unix.EWOULDBLOCK)
		}
	}
}
