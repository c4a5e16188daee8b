package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/detach"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Check tries what Record would need, and undoes it: the directory, the write lock, the database, room
// on the disk, the flusher's lock, the program that it is. Its error says what is missing; it can be all
// those of this package but ErrNone, ErrOff and ErrBusy. Where there is no database it creates none.
func (o *Outbox) Check(ctx context.Context) error {
	if err := o.store.Try(ctx); err != nil {
		return err
	}
	lock, err := os.OpenFile(o.flusherLock(), os.O_RDWR, 0)
	if err == nil {
		lock.Close()
	} else if !errors.Is(err, os.ErrNotExist) {
		return o.noFlusherLock(err)
	}
	if err := detach.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoProcess, err)
	}
	return nil
}

// FileTrouble says why a file of the embedder's, which lies beside the database, cannot be used, given
// the system's error: ErrFull, ErrReadOnly, ErrNotDirectory, ErrNotFile or a *PermissionError. It
// returns nil when it is none of these.
func FileTrouble(path string, err error) error { return store.FileTrouble(path, err) }

// Note is what the last Record that failed has left behind.
type Note struct {
	At time.Time // zero: there is none
	// Reason is in fixed words, or "" where it is not known or there was no room for it.
	Reason string
	// Recorded says that the messages were recorded and only the flusher was not started.
	Recorded bool
}

// Note returns it. One that is older than the newest message, or than the last delivery, is history:
// Record does not look for a note to remove, which would cost every command a system call. A flusher
// does.
func (o *Outbox) Note() Note {
	for _, recorded := range []bool{false, true} {
		info, err := os.Stat(o.notePath(recorded))
		if err != nil {
			continue
		}
		reason, _ := os.ReadFile(o.notePath(recorded)) // nothing, where there was no room
		return Note{At: info.ModTime().UTC(), Reason: string(reason), Recorded: recorded}
	}
	return Note{}
}

// note is best effort: what kept the event from being recorded may keep this from being noted, too.
// That there is a file says most of it, and a full disk has room for that more often than for content.
func (o *Outbox) note(recorded bool, err error) {
	if err == nil || errors.Is(err, ErrOff) || errors.Is(err, detach.ErrChild) {
		return
	}
	var reason string
	if cause := store.Cause(err); cause != nil {
		reason = cause.Error()
	}
	store.WriteNote(o.notePath(recorded), reason)
}

func (o *Outbox) notePath(recorded bool) string {
	if recorded {
		return o.cfg.Path + ".not-started"
	}
	return o.cfg.Path + ".not-recorded"
}

// forgetNotes is for the flusher: it has delivered, so both are history.
func (o *Outbox) forgetNotes() {
	os.Remove(o.notePath(false))
	os.Remove(o.notePath(true))
}
