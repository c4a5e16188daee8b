//go:build unix

package outbox

import (
	"errors"
	"os"
	"syscall"
)

// lockFile uses flock, whose locks belong to the open file and not, like those of fcntl, to
// the process: closing another descriptor of the same file does not drop them.
func lockFile(file *os.File, mode lockMode) error {
	how := syscall.LOCK_SH
	if mode&exclusive != 0 {
		how = syscall.LOCK_EX
	}
	if mode&immediately != 0 {
		how |= syscall.LOCK_NB
	}
	for {
		err := syscall.Flock(int(file.Fd()), how)
		switch {
		case errors.Is(err, syscall.EINTR): // Go's own preemption signals
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		default:
			return err
		}
	}
}
