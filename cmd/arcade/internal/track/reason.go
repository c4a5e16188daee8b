package track

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Why recording or delivery stands still, beside the outbox's own errors, such as an *outbox.Delay.
var (
	ErrLoginRefused = errors.New("the credentials were refused by Arcade Cloud")
	ErrLoginUnknown = errors.New("the account of the credentials is not known from Arcade Cloud yet")
	ErrDead         = errors.New("PostHog has refused messages for good")
)

// FileError is the failure of a file of this home. Its cause is one of the outbox's errors.
type FileError struct {
	Path  string // of what is in the way
	Cause error
}

func (e *FileError) Error() string { return e.Path + ": " + e.Cause.Error() }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Cause }

// FileTrouble returns why a file of this home cannot be used, from the error of the attempt: a *FileError, or nil if
// the cause is the file's content, or unknown.
func FileTrouble(path string, err error) error {
	if cause := outbox.FileTrouble(path, err); cause != nil {
		return &FileError{inTheWay(path), cause}
	}
	return nil
}

// FileTroubles returns why files shared with the Python CLI cannot be read, where the cause is not their content.
// Events are recorded all the same, but their owner may stay unknown.
func (q *Queue) FileTroubles() (list []error) {
	_, credentials := q.home.Credentials.Read()
	_, _, mirror := identity.ReadMirror(q.home.mirror())
	list = []error{FileTrouble(q.home.Credentials.Path, credentials), FileTrouble(q.home.mirror(), mirror)}
	return slices.DeleteFunc(list, func(trouble error) bool { return trouble == nil })
}

// FileOf returns the path of the file that an error is about, or that of the database; "" without a home.
func (t *Tracker) FileOf(err error) string {
	var permission *outbox.PermissionError
	var file *FileError
	var at *fs.PathError
	switch {
	case errors.As(err, &permission):
		return permission.Path
	case errors.As(err, &file):
		return file.Path
	case errors.Is(err, outbox.ErrNotFile) && errors.As(err, &at):
		return at.Path
	}
	home, err := t.Home()
	if err != nil {
		return ""
	}
	return inTheWay(home.database())
}

// inTheWay returns the part of path that should be a directory and is not, else path.
func inTheWay(path string) string {
	for dir := filepath.Dir(path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && !info.IsDir() {
			return dir
		}
	}
	return path
}

// Standstill returns why nothing is recorded, or why what waits is not delivered; nil when all is well. Whether
// recording would work now is for Check to say.
func (t *Tracker) Standstill(s Snapshot) error {
	if off := t.Off(s.Consent); off != nil {
		return off
	}
	if unusable := t.sink().Check(); unusable != nil {
		return unusable
	}
	switch {
	case s.Counts.Pending == 0 && s.Counts.Dead > 0:
		return ErrDead
	case s.Counts.Pending == 0:
		return nil
	case s.Counts.Pending == s.Counts.HeldAliases && s.Refused:
		return ErrLoginRefused
	case s.Counts.Pending == s.Counts.HeldAliases:
		return ErrLoginUnknown
	case s.Schedule.Failures > 0:
		return &outbox.Delay{Code: s.Schedule.LastCode, Reason: s.Schedule.LastError}
	}
	return nil
}
