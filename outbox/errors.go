package outbox

import (
	"errors"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Errors of the queue. Those of a sink are in Delay. The causes of a database that cannot be used
// are told apart with errors.Is, and permission's owner and remedy with errors.As.
var (
	ErrOff  = errors.New("tracking is off") // nothing is recorded or sent
	ErrBusy = errors.New("another flusher is at work")
	ErrNone = store.ErrNone // there is no database yet

	// ErrOlder is an ErrNone of View: the database is of an earlier version, and Record or Update migrates it.
	ErrOlder = store.ErrOlder

	ErrQueueFull = errors.New("the queue is full") // Retry lets no more messages wait

	// ErrNoProcess means that no flusher can be started: nothing is delivered but by Flush.
	ErrNoProcess = errors.New("no process can be started")

	// ErrNoMain means that Main was not called, or by a test: a copy of this program would do the program's work,
	// or run the tests, once more instead of delivering, so none is started.
	ErrNoMain = errors.New("no flusher is started: call outbox.Main first in main")

	ErrNested = store.ErrNested // Record within Record, or another transaction within one

	ErrNewer        = store.ErrNewer        // a newer program has migrated the database
	ErrForeign      = store.ErrForeign      // the file is another program's database
	ErrDamaged      = store.ErrDamaged      // the next transaction sets it aside
	ErrCopies       = store.ErrCopies       // an ErrDamaged that is not set aside: three copies are kept already
	ErrFull         = store.ErrFull         // the disk
	ErrDescriptors  = store.ErrDescriptors  // too few files can be opened
	ErrReadOnly     = store.ErrReadOnly     // the disk
	ErrPermission   = store.ErrPermission   // as *PermissionError
	ErrNotDirectory = store.ErrNotDirectory // what should hold the database
	ErrNotFile      = store.ErrNotFile      // what should be the database
	ErrDangling     = store.ErrDangling     // an ErrNotFile: a link that leads nowhere
	ErrUnreadable   = store.ErrUnreadable   // and the system gives no better reason; SQLite's error in it, if any, has a method Code() int
	ErrLocked       = store.ErrLocked       // by another process, for longer than a command waits
)

// PermissionError names the file that is in the way and its owner, and the command that gives access.
type PermissionError = store.PermissionError

// Delay is the error of a run that left messages pending: a back-off was in the way, the time was up, or
// the server did not accept them.
type Delay struct {
	Code   string    // why, as an identifier, see Verdict
	Reason string    // what happened, in fixed words
	Until  time.Time // when the next run may begin; zero: at once, with Flush
}

func (d *Delay) Error() string { return d.Code + ": " + d.Reason }

var (
	errNothing  = errors.New("outbox: give it a function, not nil")
	errLooks    = errors.New("a View only reads: use Record or Update")
	errConfig   = errors.New("the flusher's configuration failed")
	errPanicked = errors.New("the flusher panicked")
	errNotYours = errors.New("a transaction of the queue ends when its function returns")
)
