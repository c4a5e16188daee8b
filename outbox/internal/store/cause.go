package store

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const (
	trialSuffix = ".try" // a file made only to see whether it can be
	pageSize    = 4096   // SQLite's default, in bytes
)

// Cause returns the most precise cause of an error of this package, of SQLite or of the system; nil when it has none. SQLite often
// does not know: for errors of a Store the system has been asked as well.
func Cause(err error) error {
	if known, ok := errors.AsType[*causedError](err); ok && !errors.Is(known.cause, ErrPermission) {
		return known.cause
	}
	signs := append([]sign{
		{ErrFull, ErrFull}, {syscall.ENOSPC, ErrFull}, {ErrReadOnly, ErrReadOnly}, {syscall.EROFS, ErrReadOnly},
		{ErrDescriptors, ErrDescriptors}, {syscall.EMFILE, ErrDescriptors}, {syscall.ENFILE, ErrDescriptors},
		{ErrNotDirectory, ErrNotDirectory}, {ErrDangling, ErrDangling}, {syscall.ELOOP, ErrDangling},
		{ErrNotFile, ErrNotFile}, {syscall.EISDIR, ErrNotFile}, {ErrPermission, ErrPermission}, {fs.ErrPermission, ErrPermission},
		{ErrLocked, ErrLocked}, {ErrCopies, ErrCopies}, {ErrDamaged, ErrDamaged},
	}, systemSigns()...)
	for _, sign := range signs {
		if errors.Is(err, sign.err) {
			return sign.cause
		}
	}
	extended, _ := codeOf(err)
	switch {
	case isCode(err, codeBusy):
		return ErrLocked
	case isFull(err):
		return ErrFull
	case isDamage(err):
		return ErrDamaged
	case isOfTheFile(err):
		return unreadable{extended}
	}
	return nil
}

// explain says what was being done and why it failed. An error without a cause stays as it is. The connection to the database must
// be closed, see askSystem.
func explain(path, doing string, err error) error {
	if own, ok := err.(callerError); ok {
		return own.error
	}
	if _, explained := errors.AsType[*causedError](err); explained {
		return err
	}
	cause := Cause(err)
	if errors.Is(cause, ErrUnreadable) {
		cause = cmp.Or(askSystem(path), cause)
	}
	switch cause {
	case nil:
		return err
	case ErrPermission:
		cause = permission(path, err)
	case ErrDamaged:
		if found, _ := copies(path); len(found) >= maxCopies {
			cause = ErrCopies
		}
	}
	return &causedError{doing: doing, cause: cause, err: err}
}

// askSystem returns why a database cannot be opened or written, or nil when the system finds nothing wrong. It opens the file
// itself: closing that descriptor drops the locks that SQLite holds on the file.
func askSystem(path string) error {
	if _, err := look(path); err != nil {
		return Cause(err)
	}
	for _, place := range places(path) {
		if err := access(place); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Cause(err)
		}
	}
	if cause := Cause(tryWriting(path, 1, pageSize)); cause != nil {
		return cause
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return Cause(err)
	}
	file.Close()
	return nil
}

// places are what must be writable, the outermost first.
func places(path string) []string {
	return []string{filepath.Dir(path), path, path + walSuffix, path + shmSuffix, path + lockSuffix}
}

// permission names the file that this user may not use: the error's, or the first of the database's.
func permission(path string, err error) error {
	if known, ok := errors.AsType[*PermissionError](err); ok {
		return known
	}
	dir, at := filepath.Dir(path), path
	if refused, ok := errors.AsType[*fs.PathError](err); ok {
		if at = refused.Path; refused.Op == "remove" { // which the directory permits
			at = filepath.Dir(at)
		}
		return permissionError(at, dir)
	}
	for _, place := range places(path) {
		if errors.Is(access(place), fs.ErrPermission) {
			at = place
			break
		}
	}
	return permissionError(at, dir)
}

// FileTrouble is the cause of a system's error about a file beside the database, with its owner if it is a matter of permission;
// nil when it has none of the causes.
func FileTrouble(path string, err error) error {
	if cause := Cause(err); cause != ErrPermission {
		return cause
	}
	return permission(path, err)
}

// tryWriting makes so many files beside path, the first of that size in bytes, and removes them: a quota, and a disk with too few
// inodes left, show only then. A first file is tried where none is needed, too, and may then fail for want of an inode. The content
// is random, so that no file system stores it in less.
func tryWriting(path string, files, size int) error {
	path += trialSuffix
	suffixes := []string{""}
	for i := 1; i < files; i++ {
		suffixes = append(suffixes, strconv.Itoa(i))
	}
	if err := remove(path, suffixes...); err != nil { // of a process that died
		return err
	}
	err := createFile(path)
	switch {
	case files == 0 && Cause(err) == ErrFull:
		return nil
	case err == nil:
		content := make([]byte, size)
		rand.Read(content) // never fails
		err = os.WriteFile(path, content, 0o600)
	}
	for _, suffix := range suffixes[1:] {
		err = cmp.Or(err, createFile(path+suffix))
	}
	return errors.Join(err, remove(path, suffixes...))
}
