package identity

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// openNonBlocking is for named pipes, which are no files on Windows.
const openNonBlocking = 0

// openNoFollow has no meaning: a link needs a privilege there.
const openNoFollow = 0

// isOwn is true: what is in a person's profile is that person's.
func isOwn(os.FileInfo) bool { return true }

// mayFollow is true likewise.
func mayFollow(string) bool { return true }

// isPortTaken says whether listening failed because somebody else listens. An
// exclusive listener shows as a lack of permission.
func isPortTaken(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}

// replacePatience is how long to wait for the readers of a file. They hold it for a
// millisecond, virus scanners for some more.
const replacePatience = 100 * time.Millisecond

// replace renames from to to, which may exist.
func replace(from, to string) error {
	return oncePossible(func() error { return os.Rename(from, to) })
}

func remove(path string) error {
	return oncePossible(func() error { return os.Remove(path) })
}

// oncePossible repeats what Windows refuses while somebody has the file open:
// the other arcade, the Python CLI, a virus scanner.
func oncePossible(do func() error) error {
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		err := do()
		inUse := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !inUse || time.Since(start) > replacePatience {
			return err
		}
	}
}

// GiveToOwnerOf does nothing: what an administrator makes in a person's
// profile inherits that person's access.
func GiveToOwnerOf(_, _ string) error { return nil }
