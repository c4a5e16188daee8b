//go:build unix

package identity

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// openNonBlocking lets an open of a named pipe not wait for a writer.
const openNonBlocking = unix.O_NONBLOCK

// openNoFollow makes no file at the target of a link.
const openNoFollow = unix.O_NOFOLLOW

// isOwn reports whether a file belongs to the process's user.
func isOwn(info os.FileInfo) bool { return statOf(info).Uid == uint32(os.Geteuid()) }

func sameOwner(a, b os.FileInfo) bool { return statOf(a).Uid == statOf(b).Uid }

func statOf(info os.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }

// mayFollow reports whether to follow a link in a directory: not as root in another
// user's home, where it can lead anywhere.
func mayFollow(directory string) bool {
	info, err := os.Stat(directory)
	return err == nil && isOwn(info)
}

// isMine reports whether a file belongs to the user, and whether others can neither read
// nor write it. For root in a user's home the user is the directory's owner, and no link
// is followed.
func isMine(_ *os.File, info os.FileInfo, path string) (mine, private bool) {
	mine = isOwn(info)
	if home := filepath.Dir(path); os.Geteuid() == 0 && !mayFollow(home) {
		owner, err := os.Stat(home)
		at, errAt := os.Lstat(path)
		mine = err == nil && errAt == nil && sameOwner(info, owner) && at.Mode().IsRegular()
	}
	return mine, info.Mode().Perm()&0o077 == 0
}

// isWritable reports whether the file system is writable, which root's permissions do not tell.
func isWritable(path string) bool { return !errors.Is(unix.Access(path, unix.W_OK), unix.EROFS) }

// isPortTaken reports that another program listens there.
func isPortTaken(err error) bool { return errors.Is(err, unix.EADDRINUSE) }

// replace renames from to to, which may exist.
func replace(from, to string) error { return os.Rename(from, to) }

// Remove is os.Remove. On Windows it waits a moment for a program that has the file
// open, such as a virus scanner.
func Remove(path string) error { return os.Remove(path) }

// syncFile is Sync, which on macOS asks for F_FULLFSYNC. ExFAT and FUSE have only fsync.
func syncFile(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return unix.Fsync(int(f.Fd()))
	}
	return err
}

// giveToOwnerOf gives path, if root made it, to the owner of directory: `sudo arcade`
// in a user's home must not lock the user out.
func giveToOwnerOf(directory, path string) error {
	info, err := os.Stat(directory)
	if err != nil {
		return err
	}
	if owner := statOf(info); os.Geteuid() == 0 && owner.Uid != 0 {
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	}
	return nil
}
