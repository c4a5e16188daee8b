package outbox

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile locks the first byte; the files carry no content that a reader could be kept from.
func lockFile(file *os.File, mode lockMode) error {
	var flags uint32
	if mode&exclusive != 0 {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	if mode&immediately != 0 {
		flags |= windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	err := windows.LockFileEx(windows.Handle(file.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errLocked
	}
	return err
}
