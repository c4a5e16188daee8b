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

// giveToOwner gives what root has made in somebody's directory to the directory's owner, who could
// not use it otherwise. SQLite does so with a database's side files.
func giveToOwner(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid == 0 {
		return nil
	}
	return os.Lchown(path, int(stat.Uid), int(stat.Gid))
}

// access tells why this user may not read and write a file or a directory.
func access(path string) error {
	if err := unix.Access(path, unix.R_OK|unix.W_OK); err != nil {
		return &fs.PathError{Op: "access", Path: path, Err: err}
	}
	return nil
}

func permissionError(path, dir string) error {
	e := &PermissionError{Path: path}
	info, err := os.Lstat(path)
	for (errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)) && filepath.Dir(path) != path {
		path = filepath.Dir(path)
		info, err = os.Lstat(path)
	}
	if err != nil {
		return e
	}
	e.Path = path
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return e
	}
	e.Owner = userName(int(stat.Uid))
	e.Remedy = fmt.Sprintf("sudo chown -R %s %s", userName(os.Geteuid()), shellQuote(dir))
	return e
}

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

// place moves a file to a path where there is none; fs.ErrExist says that there is.
func place(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A file system without links. The lock keeps others away.
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	}
	return os.Rename(from, to)
}

// syncDirectory makes the names in a directory durable.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) { // a file system that has no such thing
		return nil
	}
	return err
}

func fullSigns() []error { return []error{syscall.EDQUOT} }
