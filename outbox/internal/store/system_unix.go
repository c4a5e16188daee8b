//go:build unix

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
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

// permissionError names the path, or the first directory above it that can be looked at. It adds the owner, and how to get dir
// back, only when dir exists in a directory of this user's: under `sudo -u`, with a home that is root's, that command would give
// another user's files away.
func permissionError(path, dir string) error {
	info, err := os.Lstat(path)
	for err != nil && filepath.Dir(path) != path {
		path = filepath.Dir(path)
		info, err = os.Lstat(path)
	}
	_, missing := os.Lstat(dir)
	home, unknown := os.Stat(filepath.Dir(dir))
	me := os.Geteuid()
	if errors.Join(err, missing, unknown) != nil || ownerOf(info) == me || ownerOf(home) != me {
		return &PermissionError{Path: path}
	}
	return &PermissionError{
		Path: path, Owner: userName(ownerOf(info)),
		Remedy: fmt.Sprintf("sudo chown -R %s %s", userName(me), shellQuote(dir)),
	}
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
	if regexp.MustCompile(`^[\w/.,:@%+-]*$`).MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// checkDescriptors returns ErrDescriptors unless n more files can be opened. It asks the system rather than package os: Go's poller, which
// the first file or timer of a process starts, takes two descriptors, and where none are left it ends the process.
func checkDescriptors(n int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil
	}
	end := min(limit.Cur, math.MaxInt32)
	last := make([]unix.PollFd, min(end, 64)) // a new file gets the lowest free number: the last ones below the limit are left
	for i := range last {
		last[i].Fd = int32(end) - int32(i) - 1
	}
	if _, err := unix.Poll(last, 0); err != nil {
		return nil
	}
	unused := 0
	for _, descriptor := range last {
		if descriptor.Revents&unix.POLLNVAL != 0 {
			unused++
		}
	}
	if unused < n {
		return ErrDescriptors
	}
	return nil
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
