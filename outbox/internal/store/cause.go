package store

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	lockSuffix = ".lock" // of the write lock's file
	trySuffix  = ".try"  // of a file that is made to see whether it can be
	pageSize   = 4096    // SQLite's default, in bytes
)

// Cause returns which of the causes is behind an error of this package, of SQLite or of the system, the most precise one; nil when
// it is none of them. SQLite often does not know: an error of a Store's has been looked into.
func Cause(err error) error {
	if known, ok := errors.AsType[*causedError](err); ok && !errors.Is(known.cause, ErrPermission) {
		return known.cause
	}
	for _, known := range []struct {
		cause error
		signs []error
	}{
		{ErrFull, append([]error{ErrFull, syscall.ENOSPC}, fullSigns()...)},
		{ErrDescriptors, []error{ErrDescriptors, syscall.EMFILE, syscall.ENFILE}},
		{ErrReadOnly, []error{ErrReadOnly, syscall.EROFS}},
		{ErrNotDirectory, append([]error{ErrNotDirectory}, notDirectorySigns()...)},
		{ErrDangling, []error{ErrDangling, syscall.ELOOP}},
		{ErrNotFile, []error{ErrNotFile, syscall.EISDIR}},
		{ErrPermission, []error{ErrPermission, fs.ErrPermission}},
		{ErrLocked, append([]error{ErrLocked}, lockedSigns()...)},
		{ErrCopies, []error{ErrCopies}},
		{ErrDamaged, []error{ErrDamaged}},
	} {
		for _, sign := range known.signs {
			if errors.Is(err, sign) {
				return known.cause
			}
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

// explain says what was being done and why it failed, where that can be told; what cannot stays as it is, and so does what has a
// name of ours, and a context's end. The connection to the database must be closed, see ask.
func explain(path, doing string, err error) error {
	if own, ok := err.(callers); ok {
		return own.error
	}
	if _, known := errors.AsType[*causedError](err); known || err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, ErrNone) || errors.Is(err, ErrNewer) || errors.Is(err, ErrForeign) {
		return err
	}
	cause := Cause(err)
	if errors.Is(cause, ErrUnreadable) {
		if asked := ask(path); asked != nil {
			cause = asked
		}
	}
	if cause == ErrPermission {
		cause = permission(path, err)
	}
	if found, _ := copies(path); cause == ErrDamaged && len(found) >= maxCopies {
		cause = ErrCopies
	}
	if cause == nil {
		return err
	}
	return &causedError{doing: doing, cause: cause, err: err}
}

// ask asks the system what is wrong with the place of a database, since SQLite does not say why it cannot open or write a file. It
// returns nil when the system finds nothing. It opens the file itself: a descriptor that is closed takes SQLite's locks along.
func ask(path string) error {
	if _, err := look(path); err != nil {
		return Cause(err)
	}
	for _, place := range places(path) {
		if err := access(place); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Cause(err)
		}
	}
	if cause := Cause(tryRoom(path, pageSize)); cause != nil {
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

// permission says whose the file is that cannot be used.
func permission(path string, err error) error {
	if known, ok := errors.AsType[*PermissionError](err); ok {
		return known
	}
	at := path
	if refused, ok := errors.AsType[*fs.PathError](err); ok {
		at = refused.Path
	}
	for _, place := range places(path) {
		if errors.Is(access(place), fs.ErrPermission) {
			at = place
			break
		}
	}
	return permissionError(at, filepath.Dir(path))
}

// FileTrouble is the cause of a system's error about a file beside the database, with its owner if it is a matter of permission;
// nil when it is not one of the causes. The error may name a neighbour, such as the file's lock, and to remove a file is its
// directory's to permit.
func FileTrouble(path string, err error) error {
	cause := Cause(err)
	if cause != ErrPermission {
		return cause
	}
	dir := filepath.Dir(path)
	if refused, ok := errors.AsType[*fs.PathError](err); ok && filepath.Dir(refused.Path) == dir {
		if path = refused.Path; refused.Op == "remove" {
			path = dir
		}
	}
	return permissionError(path, dir)
}

// tryRoom makes a file of that size, in bytes, and removes it: a quota, and a disk that has no room for another file, are seen only
// then. Its content is such as no file system can store in less.
func tryRoom(path string, size int) error {
	path += trySuffix
	if err := remove(path, ""); err != nil { // of a process that died
		return err
	}
	err := createFile(path)
	if err == nil {
		content := make([]byte, size)
		rand.Read(content) // never fails
		err = os.WriteFile(path, content, 0o600)
	}
	return errors.Join(err, remove(path, ""))
}

// tryNew tells why no database can be made at path: it makes what is missing of the directories, but under another name, with a file
// in it, and removes both. Some file systems, such as /proc, refuse only then, and so does one without an inode left.
func tryNew(path string) error {
	above, err := ground(path)
	if err != nil {
		return err
	}
	missing := filepath.Dir(path)
	if missing == above {
		return tryRoom(path, pageSize)
	}
	for filepath.Dir(missing) != above {
		missing = filepath.Dir(missing)
	}
	missing += trySuffix
	if err := makeOne(missing); err != nil && !errors.Is(err, fs.ErrExist) { // of a process that died
		return err
	}
	return errors.Join(tryRoom(filepath.Join(missing, filepath.Base(path)), pageSize), remove(missing, ""))
}
