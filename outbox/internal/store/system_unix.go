//go:build unix

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// giveToOwner gives what root has made to the owner of the directory, who could not use it otherwise. SQLite does the same with a
// database's side files.
func giveToOwner(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	stat := info.Sys().(*syscall.Stat_t)
	if stat.Uid == 0 {
		return nil
	}
	return os.Lchown(path, int(stat.Uid), int(stat.Gid))
}

// access returns why this user may not read and write a file or a directory.
func access(path string) error {
	if err := unix.Access(path, unix.R_OK|unix.W_OK); err != nil {
		return &fs.PathError{Op: "access", Path: path, Err: err}
	}
	return nil
}

// permissionError names the path, or the first directory above it that can be looked at. It adds the owner, and how to get dir
// back, only when dir exists in a directory of this user's: under `sudo -u`, with a home that is root's, that command would give
// another user's files away.
func permissionError(path, dir string) error {
	info, err := os.Lstat(path)
	for at := path; (errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)) && filepath.Dir(at) != at; {
		at = filepath.Dir(at)
		if info, err = os.Lstat(at); err == nil {
			path = at
		}
	}
	e := &PermissionError{Path: path}
	if err != nil || ownerOf(info) == os.Geteuid() {
		return e
	}
	home, err := os.Stat(filepath.Dir(dir))
	if err != nil || ownerOf(home) != os.Geteuid() {
		return e
	}
	if _, err := os.Lstat(dir); err != nil {
		return e
	}
	e.Owner = userName(ownerOf(info))
	e.Remedy = fmt.Sprintf("sudo chown -R %s %s", userName(os.Geteuid()), shellQuote(dir))
	return e
}

func ownerOf(info os.FileInfo) (id int) { return int(info.Sys().(*syscall.Stat_t).Uid) }

func userName(id int) string {
	number := strconv.Itoa(id)
	if found, err := user.LookupId(number); err == nil {
		return found.Username
	}
	return number
}

func shellQuote(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-+,:@%", r) && (r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a' || r > 'z')
	}) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// hasDescriptors reports whether n more files can be opened. It asks the system and not package os: Go's poller, which the first file or
// timer of a process starts, takes two descriptors, and where there are none left it ends the process.
func hasDescriptors(n int) bool {
	// One call answers for nearly every process. It fails where the limit is lower than the number of descriptors in it.
	low := make([]unix.PollFd, 64)
	for fd := range low {
		low[fd].Fd = int32(fd)
	}
	unused := 0
	if _, err := unix.Poll(low, 0); err == nil {
		for _, descriptor := range low {
			if descriptor.Revents&unix.POLLNVAL != 0 {
				unused++
			}
		}
	}
	if unused >= n {
		return true
	}
	for range n {
		fd, err := unix.Open("/", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
			return false
		}
		if err == nil {
			defer unix.Close(fd)
		}
	}
	return true
}

// hasOtherNames reports whether a file has hard links elsewhere.
func hasOtherNames(info fs.FileInfo) bool { return info.Sys().(*syscall.Stat_t).Nlink > 1 }

// syncDirectory makes the names in a directory durable.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) { // this file system has no such thing
		return nil
	}
	return err
}

// fullSync is File.Sync. On macOS that is F_FULLFSYNC, which exFAT and FUSE refuse; they have a plain fsync.
func fullSync(file *os.File) error {
	err := file.Sync()
	if errors.Is(err, syscall.ENOTTY) || errors.Is(err, syscall.EINVAL) {
		return unix.Fsync(int(file.Fd()))
	}
	return err
}

func systemSigns() []sign {
	return []sign{{syscall.EDQUOT, ErrFull}, {syscall.ENOTDIR, ErrNotDirectory}}
}
