package identity

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// openNonBlocking is for named pipes, which are no files on Windows.
const openNonBlocking = 0

// tryLockShared takes a shared lock on f, which closing f gives back. It
// reports false when another process holds an exclusive one. A file system
// that knows no locks counts as locked: everybody replaces these files whole.
func tryLockShared(f *os.File) bool {
	const everything = ^uint32(0)
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, everything, everything, new(windows.Overlapped))
	return !errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}
