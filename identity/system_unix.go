//go:build unix

package identity

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// openNonBlocking keeps the opening of a named pipe from waiting for a writer.
// It means nothing to a regular file.
const openNonBlocking = unix.O_NONBLOCK

// openNoFollow keeps a file from being made where a link leads to.
const openNoFollow = unix.O_NOFOLLOW

// isOwn says whether a file is this person's.
func isOwn(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid()
}

// mayFollow says whether a link in a directory may be followed: not by root in a home of somebody else, who
// could have it lead anywhere.
func mayFollow(directory string) bool {
	info, err := os.Stat(directory)
	return err == nil && isOwn(info)
}

// isPortTaken says whether listening failed because somebody else listens.
func isPortTaken(err error) bool { return errors.Is(err, unix.EADDRINUSE) }

// replace renames from to to, which may exist.
func replace(from, to string) error { return os.Rename(from, to) }

// Remove is os.Remove. On Windows it waits a moment for another program, such as a virus scanner, to let go of the file.
func Remove(path string) error { return os.Remove(path) }

// syncFile writes what f has to the disk. On macOS, Sync asks for F_FULLFSYNC, which exFAT and FUSE do not
// know: there fsync is all there is.
func syncFile(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return unix.Fsync(int(f.Fd()))
	}
	return err
}

// GiveToOwnerOf makes path belong to who owns directory, when root made it: a
// file that `sudo arcade` leaves in a person's home must not lock them out.
func GiveToOwnerOf(directory, path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(directory)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	return os.Lchown(path, int(owner.Uid), int(owner.Gid))
}

// isMine says whether a file belongs to this person, and whether others may
// neither read nor write it. For root in a person's home the person is who owns
// the directory, and a link could lead anywhere.
func isMine(_ *os.File, info os.FileInfo, path string) (mine, private bool) {
	private = info.Mode().Perm()&0o077 == 0
	person := uint32(os.Geteuid())
	if person == 0 {
		home, err := os.Stat(filepath.Dir(path))
		if err != nil {
			return false, private
		}
		if person = uidOf(home); person != 0 {
			if link, err := os.Lstat(path); err != nil || link.Mode()&os.ModeSymlink != 0 {
				return false, private
			}
		}
	}
	return uidOf(info) == person, private
}

func uidOf(info os.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

func sameOwner(a, b os.FileInfo) bool { return uidOf(a) == uidOf(b) }

// isWritable is false on a file system that is mounted to be read only, for root, too.
func isWritable(path string) bool { return !errors.Is(unix.Access(path, unix.W_OK), unix.EROFS) }
