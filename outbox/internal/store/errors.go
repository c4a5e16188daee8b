package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
)

var (
	// ErrNone means that there is no database: nothing was ever written here.
	ErrNone = errors.New("nothing has been recorded yet")
	// ErrOlder is an ErrNone: there is a database that must be migrated before it can be looked at.
	ErrOlder = fmt.Errorf("the database is of an older version: %w", ErrNone)
	// ErrNewer means that a newer program has migrated the database. This one leaves it alone.
	ErrNewer = errors.New("the database was written by a newer version")
	// ErrForeign means that the file is somebody else's database. It is left alone.
	ErrForeign = errors.New("the database is not this program's")
	// ErrLocked means that another process holds the lock, and still did when the wait was over.
	ErrLocked = errors.New("locked by another process")
)

// Causes, for errors.Is and Cause.
var (
	// ErrFull means that there is no room on the disk, or in the quota.
	ErrFull = errors.New("the disk is full")
	// ErrReadOnly means that the file system is read-only.
	ErrReadOnly = errors.New("the disk is read-only")
	// ErrPermission means that this user may not do it; see PermissionError.
	ErrPermission = errors.New("permission denied")
	// ErrNotDirectory means that something that is no directory is in the way.
	ErrNotDirectory = errors.New("not a directory")
	// ErrNotFile means that the database's place is taken by something that is no file.
	ErrNotFile = errors.New("not a file")
	// ErrDamaged means that the database's content is not sound. The next Write replaces it.
	ErrDamaged = errors.New("the database is damaged")
)

// PermissionError names what this user may not use, and whose it is. It is an ErrPermission.
type PermissionError struct {
	Path  string
	Owner string // the user's name, or number; "" when it is this user, or not known
	// Remedy is the command that mends it, or "".
	Remedy string
}

func (e *PermissionError) Error() string {
	text := "you may not use " + e.Path
	if e.Owner != "" {
		text = fmt.Sprintf("%s belongs to %s", e.Path, e.Owner)
	}
	if e.Remedy != "" {
		text += ": run '" + e.Remedy + "'"
	}
	return text
}

// Is makes it an ErrPermission.
func (e *PermissionError) Is(target error) bool { return target == ErrPermission }

// causedError is an error of the store's own work.
type causedError struct {
	doing string
	err   error
	cause error // nil: not known
}

// Error says the cause in words rather than SQLite's number, where it is known.
func (e *causedError) Error() string {
	if e.cause != nil {
		return e.doing + ": " + e.cause.Error()
	}
	return e.doing + ": " + e.err.Error()
}

func (e *causedError) Unwrap() []error {
	if e.cause != nil {
		return []error{e.cause, e.err}
	}
	return []error{e.err}
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
	codeTooBig     = 18
	codeConstraint = 19
	codeMismatch   = 20
	codeNotADB     = 26
	codeUnique     = 2067 // extended, of codeConstraint
	// Extended codes of SQLITE_IOERR.
	codeShortRead = 522  // the file was cut
	codeWrite     = 778  // for any reason but ENOSPC
	codeShmSize   = 4874 // no room for the shared memory
	codeShmMap    = 5386 // the file system cannot map files shared
)

func isCode(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}

func isExtended(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == code
}

// IsTaken tells whether a row was refused because a value that must be unique is there already.
func IsTaken(err error) bool { return isExtended(err, codeUnique) }

func isUnmappable(err error) bool { return isExtended(err, codeShmMap) }

func isFull(err error) bool { return err != nil && Cause(err) == ErrFull }

// Cause returns which of ErrFull, ErrReadOnly, ErrPermission, ErrNotDirectory, ErrNotFile, ErrLocked and
// ErrDamaged is behind an error of this package, of SQLite or of the system; nil when it is none of
// them.
func Cause(err error) error {
	for _, known := range []struct {
		cause error
		signs []error
	}{
		{ErrFull, append([]error{ErrFull, syscall.ENOSPC}, fullSigns()...)},
		{ErrReadOnly, []error{ErrReadOnly, syscall.EROFS}},
		{ErrNotDirectory, []error{ErrNotDirectory, syscall.ENOTDIR}},
		{ErrNotFile, []error{ErrNotFile, syscall.EISDIR}},
		{ErrPermission, []error{ErrPermission, fs.ErrPermission}},
	} {
		for _, sign := range known.signs {
			if errors.Is(err, sign) {
				return known.cause
			}
		}
	}
	if isCode(err, codeBusy) {
		return ErrLocked
	}
	if isCode(err, codeFull) || isExtended(err, codeShmSize) {
		return ErrFull
	}
	if isDamage(err) {
		return ErrDamaged
	}
	return nil
}

// FileTrouble is the cause of a system's error about a file beside the database, with its owner if it is
// a matter of permission; nil when it is not one of the causes. The error may name a neighbour, such as
// the file's lock, and to remove a file is its directory's to permit.
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

// WriteNote leaves a small text beside the database, without it if there is no room. Nothing comes of
// a failure.
func WriteNote(path, text string) {
	if CreateFile(path) == nil {
		_ = os.WriteFile(path, []byte(text), 0o600)
	}
}

// causeOf returns the cause of an error of the store's own. SQLite does not say why it cannot open
// or write a file: the system is asked again.
func (s *Store) causeOf(err error) error {
	cause := Cause(err)
	if cause == nil && (isCode(err, codeCantOpen) || isCode(err, codeReadOnly) || isCode(err, codeIO)) {
		cause = s.probe()
		if cause == nil && isExtended(err, codeReadOnly) { // nobody says so but the database's header
			cause = ErrDamaged
		}
	}
	if cause == nil && isExtended(err, codeWrite) && isFull(s.tryRoom(pageSize)) { // a quota
		cause = ErrFull
	}
	if cause == ErrPermission {
		return s.permission(err)
	}
	return cause
}

// probe asks what is wrong with the place of the database.
func (s *Store) probe() error {
	info, err := os.Stat(s.cfg.Path)
	if err == nil && !info.Mode().IsRegular() {
		return ErrNotFile
	}
	if err != nil && Cause(err) != nil {
		return Cause(err)
	}
	for _, path := range s.places() {
		if err := access(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Cause(err)
		}
	}
	return nil
}

// places are what must be writable, the outermost first.
func (s *Store) places() []string {
	places := []string{filepath.Dir(s.cfg.Path)}
	for _, suffix := range append(databaseFiles(), lockSuffix) {
		places = append(places, s.cfg.Path+suffix)
	}
	return places
}

// permission says whose the file is that cannot be used.
func (s *Store) permission(err error) error {
	if known, ok := errors.AsType[*PermissionError](err); ok {
		return known
	}
	path := s.cfg.Path
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		path = at.Path
	}
	for _, place := range s.places() {
		if errors.Is(access(place), fs.ErrPermission) {
			path = place
			break
		}
	}
	return permissionError(path, filepath.Dir(s.cfg.Path))
}
