package store

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	trialSuffix = ".try" // a file made only to see whether it can be
	// spareRoom has to be left on the disk, in bytes, beside what the WAL needs: an event's pages in the WAL and then in the
	// database, and what settling it will write.
	spareRoom = 128 << 10
)

// Cause returns the most precise cause of an error of this package, of SQLite or of the system; nil when it has none. SQLite often
// does not know: for errors of a Store the system has been asked as well.
func Cause(err error) error {
	signs := append([]sign{
		{ErrFull, ErrFull}, {syscall.ENOSPC, ErrFull}, {ErrReadOnly, ErrReadOnly}, {syscall.EROFS, ErrReadOnly},
		{ErrDescriptors, ErrDescriptors}, {syscall.EMFILE, ErrDescriptors}, {syscall.ENFILE, ErrDescriptors},
		{ErrNotDirectory, ErrNotDirectory}, {ErrDangling, ErrDangling}, {syscall.ELOOP, ErrDangling},
		{ErrNotFile, ErrNotFile}, {syscall.EISDIR, ErrNotFile}, {ErrPermission, ErrPermission}, {fs.ErrPermission, ErrPermission},
		{ErrLocked, ErrLocked}, {ErrCopies, ErrCopies}, {ErrDamaged, ErrDamaged},
		{syscall.EIO, ErrUnreadable}, {syscall.ENOLCK, ErrUnreadable}, // as on NFS without its locks
	}, systemSigns()...)
	for _, sign := range signs {
		if errors.Is(err, sign.err) {
			return sign.cause
		}
	}
	switch {
	case isBusy(err):
		return ErrLocked
	case isCode(err, codeFull):
		return ErrFull
	case isDamage(err):
		return ErrDamaged
	case isOfTheFile(err):
		return fmt.Errorf("%w (%d)", ErrUnreadable, codeOf(err))
	}
	return nil
}

// FileTrouble is the cause of a system's error about a file beside the database, with its owner if it is a matter of permission;
// nil when it has none of the causes.
func FileTrouble(path string, err error) error {
	cause := Cause(err)
	if cause != ErrPermission {
		return cause
	}
	if known, ok := errors.AsType[*PermissionError](err); ok {
		return known
	}
	dir := filepath.Dir(path)
	at := dir // which permits to rename and to remove
	if refused, ok := errors.AsType[*fs.PathError](err); ok && refused.Op != "remove" {
		at = refused.Path
	}
	return permissionError(at, dir)
}

// askSystem returns why a database cannot be opened or written, or nil when the system finds nothing wrong. It opens the files
// itself: closing them drops the locks that SQLite holds on them for the whole process.
func askSystem(path string) error {
	if err := tryWriting(path); Cause(err) != nil {
		return err
	}
	for _, suffix := range []string{"", walSuffix, shmSuffix} {
		file, err := os.OpenFile(path+suffix, os.O_RDWR, 0)
		if err == nil {
			file.Close()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// tryWriting makes a file beside path and removes it: a quota that is used up shows only then. The content is random, so that no
// file system stores it in less.
func tryWriting(path string) error {
	path += trialSuffix
	if err := Remove(path, ""); err != nil { // of a process that died
		return err
	}
	err := createFile(path)
	if err == nil {
		content := make([]byte, spareRoom)
		rand.Read(content) // never fails
		err = os.WriteFile(path, content, 0o600)
	}
	return cmp.Or(err, Remove(path, ""))
}
