package store

import (
	"errors"
	"fmt"
	"io/fs"

	"modernc.org/sqlite"
)

// What a database can be, beside usable.
var (
	// ErrNone means that there is none: nothing was ever written here.
	ErrNone = errors.New("nothing has been recorded yet")
	// ErrOlder is an ErrNone: it has to be migrated before it can be read.
	ErrOlder = fmt.Errorf("the database is of an older version: %w", ErrNone)
	// ErrNewer means that a newer program has migrated it. It is left alone.
	ErrNewer = errors.New("the database was written by a newer version")
	// ErrForeign means that it is another program's, or the embedder's own. It is left alone.
	ErrForeign = errors.New("this is another database; the outbox needs a file of its own, which takes your tables: see Config.Tables")
)

// ErrNested means that a transaction was begun within another one.
var ErrNested = errors.New("a transaction is begun within another one")

// Causes, for errors.Is and Cause.
var (
	ErrLocked       = errors.New("locked by another process") // until the wait was over
	ErrFull         = errors.New("the disk is full")          // or a quota is used up, or no file can be made
	ErrDescriptors  = errors.New("too few files can be opened")
	ErrReadOnly     = errors.New("the disk is read-only")
	ErrPermission   = errors.New("permission denied")                                       // see PermissionError
	ErrNotDirectory = errors.New("not a directory")                                         // what is above the database
	ErrNotFile      = errors.New("not a file")                                              // what is in its place
	ErrDangling     = fmt.Errorf("a link that leads nowhere: %w", ErrNotFile)               // in its place, or above
	ErrUnreadable   = errors.New("the database could not be read")                          // EIO, or the system gives no reason
	ErrDamaged      = errors.New("the database is damaged")                                 // in SQLite's own word
	ErrCopies       = fmt.Errorf("three copies of earlier damage are kept: %w", ErrDamaged) // see Store.Copies
)

// sign is an error, such as one of the system, and the cause that it means.
type sign struct{ err, cause error }

// PermissionError names what this user may not use, and its owner. It is an ErrPermission.
type PermissionError struct {
	Path   string
	Owner  string // the user's name, or number; "" when it is this user or unknown, and without a Remedy
	Remedy string // the command that gives access, or ""
}

func (e *PermissionError) Error() string {
	if e.Owner == "" {
		return "you may not use " + e.Path
	}
	return fmt.Sprintf("%s belongs to %s: run '%s'", e.Path, e.Owner, e.Remedy)
}

// Is makes it an ErrPermission.
func (e *PermissionError) Is(target error) bool { return target == ErrPermission }

// causedError states its cause in words rather than by SQLite's number.
type causedError struct {
	doing      string
	cause, err error
}

func (e *causedError) Error() string { return e.doing + ": " + e.cause.Error() }

func (e *causedError) Unwrap() []error { return []error{e.cause, e.err} }

// callerError is the caller's own error: it is returned as it is, even if it wraps one of this package.
type callerError struct{ error }

// fromCaller marks what the caller's function returned, unless that is SQLite's.
func fromCaller(err error) error {
	if err == nil || codeOf(err) != 0 {
		return err
	}
	return callerError{err}
}

// SQLite's result codes, https://www.sqlite.org/rescode.html.
const (
	codeError      = 1
	codeBusy       = 5
	codeReadOnly   = 8
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeCantOpen   = 14
	codeProtocol   = 15 // after 10 s: another process has stopped while it made the shared memory
	codeConstraint = 19
	codeMismatch   = 20
	codeNotADB     = 26
	codeUnique     = 2067 // extended, of codeConstraint
	codeShmMap     = 5386 // extended, of codeIO: the file system cannot map files shared
)

// codeOf returns SQLite's extended code, 0 for other errors.
func codeOf(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}

// isCode compares a code with the extended one of an error, and with the primary one, its last byte.
func isCode(err error, code int) bool { return code == codeOf(err) || code == codeOf(err)&0xff }

// IsTaken reports whether a row was refused because a value that must be unique is there already.
func IsTaken(err error) bool { return isCode(err, codeUnique) }

// IsOnlyForReading reports whether a statement was refused because it writes and its transaction only reads.
func IsOnlyForReading(err error) bool { return codeOf(err) == codeReadOnly }

// isBusy reports whether another process keeps the database.
func isBusy(err error) bool { return isCode(err, codeBusy) || isCode(err, codeProtocol) }

// isDamage reports whether SQLite calls the file's content unsound.
func isDamage(err error) bool { return isCode(err, codeCorrupt) || isCode(err, codeNotADB) }

// isOfTheFile reports whether the file, and not the statement, is at fault.
func isOfTheFile(err error) bool {
	return isDamage(err) || isCode(err, codeReadOnly) || isCode(err, codeCantOpen) || isCode(err, codeIO)
}

// mayPass reports whether an error is met twice before it is believed: those of the file and of the system, and a full disk, on which
// the close of the database gives the WAL's room back.
func mayPass(err error) bool {
	_, system := errors.AsType[*fs.PathError](err)
	return system || isOfTheFile(err) || isCode(err, codeFull)
}
