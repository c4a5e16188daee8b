package track

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Why recording or delivery stands still, as fixed words that programs may depend on. Those that the
// network is the reason for are outbox's codes, such as "offline" or "key".
const (
	ReasonNoKey      = outbox.CodeNoKey
	ReasonRetryAfter = outbox.CodeRetryAfter
	ReasonTimeUp     = outbox.CodeTimeUp

	ReasonLoginRefused = "login_refused"    // Arcade Cloud does not take the credentials
	ReasonLoginUnknown = "login_unknown"    // Arcade Cloud has not said whose they are
	ReasonDead         = "dead"             // PostHog has refused messages for good
	ReasonBusy         = "flusher_busy"     // another one was at work
	ReasonDisabled     = "disabled"         // by `arcade usage disable`
	ReasonVariable     = "variable"         // a variable has switched tracking off
	ReasonNoProcess    = "no_process"       // no flusher can be started
	ReasonFull         = "disk_full"        //
	ReasonReadOnly     = "read_only"        //
	ReasonPermission   = "permission"       // by the mode of a file
	ReasonOwner        = "foreign_owner"    // a file belongs to somebody else
	ReasonNotDirectory = "not_directory"    // where a directory should be
	ReasonNotFile      = "not_file"         // where a file should be
	ReasonForeign      = "foreign_database" // another program's
	ReasonNewer        = "newer_database"   // a newer arcade has written it
	ReasonDamaged      = "damaged_database" //
	ReasonLocked       = "locked_database"  // by another process
	ReasonDatabase     = "database"         // none of these
)

// Reason is why something does not work.
type Reason struct {
	// Code is one of the fixed words, "" for no reason at all.
	Code string
	// Detail is what was seen, in fixed words, or "".
	Detail string
	// Path, Owner and Remedy are what a file's trouble is about: which one it is, whose it is, and
	// the command that mends it.
	Path, Owner, Remedy string
}

// ReasonOf tells why a delivery or the database failed.
func ReasonOf(err error) Reason {
	var delay *Delay
	var permission *outbox.PermissionError
	switch {
	case err == nil:
		return Reason{}
	case errors.As(err, &delay):
		return Reason{Code: delay.Code, Detail: delay.Reason}
	case errors.As(err, &permission) && permission.Owner != "":
		return Reason{Code: ReasonOwner, Path: permission.Path, Owner: permission.Owner, Remedy: permission.Remedy}
	case errors.As(err, &permission):
		return Reason{Code: ReasonPermission, Path: permission.Path}
	}
	for _, known := range []struct {
		err  error
		code string
	}{
		{ErrBusy, ReasonBusy}, {ErrOff, ReasonDisabled}, {ErrNewer, ReasonNewer}, {outbox.ErrForeign, ReasonForeign},
		{outbox.ErrFull, ReasonFull}, {outbox.ErrReadOnly, ReasonReadOnly}, {outbox.ErrNotDirectory, ReasonNotDirectory},
		{outbox.ErrNotFile, ReasonNotFile}, {outbox.ErrDamaged, ReasonDamaged}, {outbox.ErrLocked, ReasonLocked}, {context.DeadlineExceeded, ReasonLocked},
		{outbox.ErrNoProcess, ReasonNoProcess},
	} {
		if errors.Is(err, known.err) {
			return Reason{Code: known.code}
		}
	}
	return Reason{Code: ReasonDatabase, Detail: err.Error()}
}

// FileReason tells why a file of this home cannot be used, by the error of the attempt. Its code is ""
// when it is the file's content, or nothing that is known.
func FileReason(path string, err error) Reason {
	reason := ReasonOf(outbox.FileTrouble(path, err))
	if reason.Code == ReasonDatabase {
		return Reason{}
	}
	if reason.Path == "" && reason.Code != "" {
		reason.Path = inTheWay(path)
	}
	return reason
}

// FileTroubles tells which of the files that the Python CLI shares cannot be read, for a reason of the
// system's and not of their content. They keep nothing from being recorded, but whose it is.
func (q *Queue) FileTroubles() (list []Reason) {
	_, credentials := q.home.Credentials().Read()
	_, _, mirror := identity.ReadMirror(q.home.mirror())
	for _, file := range []struct {
		path string
		err  error
	}{{q.home.Credentials().Path, credentials}, {q.home.mirror(), mirror}} {
		if file.err == nil {
			continue
		}
		if reason := FileReason(file.path, file.err); reason.Code != "" {
			list = append(list, reason)
		}
	}
	return list
}

// inTheWay returns the path of what is there instead of a directory, or of the file at path.
func inTheWay(path string) string {
	for dir := filepath.Dir(path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil {
			if !info.IsDir() {
				return dir
			}
			break
		}
	}
	return path
}

// Reason tells why an operation on this queue failed.
func (q *Queue) Reason(err error) Reason {
	reason := ReasonOf(err)
	var at *fs.PathError
	if reason.Code == ReasonNotFile && errors.As(err, &at) {
		reason.Path = at.Path
	}
	if reason.Path == "" {
		reason.Path = inTheWay(q.box.Path())
	}
	return reason
}

// Standstill tells why what waits is not being delivered, and why nothing is recorded; its code is ""
// when all is well. Whether recording would work now is Check's to tell.
func (t *Tracker) Standstill(s Snapshot) Reason {
	switch by := t.OffBy(s); {
	case by != "" && t.Switches().By == "":
		return Reason{Code: ReasonDisabled, Detail: by}
	case by != "":
		return Reason{Code: ReasonVariable, Detail: by}
	}
	var unusable *outbox.Unusable
	switch err := t.sink().Check(); {
	case errors.As(err, &unusable):
		return Reason{Code: unusable.Code, Detail: unusable.Reason}
	case s.Counts.Pending == 0 && s.Counts.Dead > 0:
		return Reason{Code: ReasonDead}
	case s.Counts.Pending == 0:
		return Reason{}
	case s.Counts.Pending == s.Counts.Held && s.Refused:
		return Reason{Code: ReasonLoginRefused}
	case s.Counts.Pending == s.Counts.Held:
		return Reason{Code: ReasonLoginUnknown}
	case s.Schedule.Failures > 0:
		return Reason{Code: s.Schedule.LastCode, Detail: s.Schedule.LastError}
	default:
		return Reason{}
	}
}
