package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/detach"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/machine"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Recorded says what Record did beside committing.
type Recorded struct {
	// First means that nothing was ever recorded here: the user has to be told what is.
	First bool
	// Started means that a flusher was started.
	Started bool
	// Trouble is what failed after the commit. Nothing is lost by it: the next command makes up
	// for it. It may join several errors.
	Trouble error
}

// Record runs change in one transaction, in which it adds messages and changes tables of the
// caller's. What was committed is durable when Record returns, and a flusher is on its way if
// one is due. It returns ErrOff, and does not run change, when tracking is off.
//
// An error of change undoes everything and is returned as it is. Change may be run up to three times,
// when the file has an error that passes or that is mended, so it must not keep what an earlier run
// of it produced.
//
// What went wrong is left for GivenUp to find, but for an error of change and what a cancelled ctx has ended.
func (o *Outbox) Record(ctx context.Context, change func(tx *Tx) error) (r Recorded, err error) {
	if change == nil {
		return r, errNothing
	}
	if o.isOff() {
		return r, ErrOff
	}
	if err := o.store.Spare(ctx); err != nil {
		err = errors.Join(err, o.relieve(ctx))
		o.note(notRecorded, err)
		return r, err
	}
	var tx *Tx
	var due bool
	var changed error
	err = o.store.Write(ctx, func(sqlTx *sql.Tx) error {
		var err error
		if tx, err = o.begin(ctx, sqlTx); err != nil {
			return err
		}
		if !tx.mayAdd {
			return ErrOff
		}
		if err := tx.noteFirst(ctx); err != nil {
			return err
		}
		if changed = change(tx); changed != nil {
			return changed
		}
		due, err = o.due(ctx, tx)
		return err
	}, func() { r.Trouble = tx.committed() })
	if err != nil {
		if (changed == nil || store.Cause(err) != nil) && !errors.Is(ctx.Err(), context.Canceled) {
			o.note(notRecorded, err)
		}
		return Recorded{}, err
	}
	r.First = tx.consent.Since.IsZero()
	o.leave(ctx, tx, due, &r)
	return r, nil
}

// leave syncs what was committed, without the lock, so that nobody waits for the disk. It starts a flusher
// meanwhile: an event that is sent before it is durable has happened all the same.
func (o *Outbox) leave(ctx context.Context, tx *Tx, due bool, r *Recorded) {
	if !due || !tx.heldOne && !detach.TakesAlong() && o.Flushing() {
		r.Trouble = errors.Join(r.Trouble, o.store.Leave())
		return
	}
	o.cfg.Point("before-spawn")
	synced := make(chan error, 1)
	go func() { synced <- o.store.Leave() }()
	wait, err := o.startFlusher(tx.heldOne)
	r.Trouble = errors.Join(r.Trouble, <-synced, err)
	if r.Started = err == nil; r.Started {
		wait(ctx)
	}
	o.note(notStarted, err)
}

// begin makes a transaction of the queue. The switch is looked at under the write lock: an event that
// is recorded beside Disable would otherwise be delivered after Enable.
func (o *Outbox) begin(ctx context.Context, sqlTx *sql.Tx) (*Tx, error) {
	tx, err := o.look(ctx, sqlTx)
	if err != nil {
		return nil, err
	}
	return tx, o.arrive(ctx, tx)
}

// look makes a transaction that changes nothing.
func (o *Outbox) look(ctx context.Context, sqlTx *sql.Tx) (*Tx, error) {
	tx := &Tx{Tx: sqlTx, now: o.cfg.Now(), newUUID: o.cfg.NewUUID, mayAdd: !o.isOff(), consent: o.ConsentBeside()}
	return tx, tx.read(ctx)
}

// arrive notices that the home was copied from another machine. What is held then is that machine's to
// decide: here its aliases go, and its events go out as their anon id.
func (o *Outbox) arrive(ctx context.Context, tx *Tx) error {
	id := machine.ID()
	if id == "" {
		return nil
	}
	moved, err := tx.arrive(ctx, id)
	if err != nil || !moved {
		return err
	}
	if err := tx.Withdraw(ctx, Held{Kind: Alias}); err != nil {
		return err
	}
	if err := tx.Decide(ctx, Held{Kind: Capture}, ""); err != nil {
		return err
	}
	if o.cfg.Moved == nil {
		return nil
	}
	return o.cfg.Moved(ctx, tx)
}

// noteFirst notes that the user has been told, from the first message on.
func (tx *Tx) noteFirst(ctx context.Context) error {
	if !tx.consent.Since.IsZero() {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO consent (id, tracking, since) VALUES (1, TRUE, ?)`, tx.now.UnixMilli())
	if err != nil {
		return fmt.Errorf("note the first message: %w", err)
	}
	return nil
}

// Update runs change in one transaction. Unlike Record it syncs nothing, starts no flusher and works
// with tracking off. Messages are refused while tracking is off. Change may be run up to three times,
// as by Record.
func (o *Outbox) Update(ctx context.Context, change func(tx *Tx) error) (err error) {
	if change == nil {
		return errNothing
	}
	var tx *Tx
	var trouble error
	err = o.store.Write(ctx, func(sqlTx *sql.Tx) (err error) {
		if tx, err = o.begin(ctx, sqlTx); err != nil {
			return err
		}
		return change(tx)
	}, func() { trouble = tx.committed() })
	return errors.Join(err, trouble)
}

// Copies returns the paths of damaged databases that were set aside, oldest first. They stay until Clear,
// Disable or Forget erases them.
func (o *Outbox) Copies() ([]string, error) { return o.store.Copies() }

// View runs look in a transaction that cannot write, without the lock: looking at the queue
// changes nothing and waits for nobody. It returns ErrNone when there is no database, and ErrOlder, an ErrNone
// too, when there is one that Record or Update has to migrate first.
func (o *Outbox) View(ctx context.Context, look func(tx *Tx) error) error {
	if look == nil {
		return errNothing
	}
	return o.store.View(ctx, func(sqlTx *sql.Tx) error {
		tx, err := o.look(ctx, sqlTx)
		if err != nil {
			return err
		}
		return look(tx)
	})
}

// sendable tells whether anything could be sent now, and whether some of it is held.
func (tx *Tx) sendable(ctx context.Context) (some, held bool, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM messages WHERE state = 'pending' AND (distinct_id IS NOT NULL OR kind = 'capture')),
		       EXISTS (SELECT 1 FROM messages WHERE distinct_id IS NULL AND kind = 'capture')`).Scan(&some, &held)
	if err != nil {
		return false, false, fmt.Errorf("look for messages: %w", err)
	}
	return some, held, nil
}

// relieve starts a flusher, if one is due, where there is no room for another message: it makes some.
func (o *Outbox) relieve(ctx context.Context) error {
	var due, held bool
	err := o.View(ctx, func(tx *Tx) (err error) {
		var some bool
		some, held, err = tx.sendable(ctx)
		due = some && tx.mayAdd && tx.schedule.Next(tx.now).IsZero() && o.cfg.Sink != nil && o.cfg.Sink.Check() == nil
		return err
	})
	if err != nil || !due || o.Flushing() {
		return err
	}
	_, err = o.startFlusher(held)
	return err
}

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

// Given counts what was given up in silence: commands whose messages were not recorded, and those for
// which no flusher could be started.
type Given struct {
	Up          int // how many of both; 1 where there was no room for more than a trace
	NotStarted  int // of these, those that were recorded
	Since, Last time.Time
	// Reason of the last one is in fixed words, or "" where it is not known.
	Reason string
}

// GivenUp returns what was given up here within the last week. Clear, Disable and Forget erase it.
func (o *Outbox) GivenUp() (g Given) {
	info, err := os.Lstat(o.notePath())
	if err != nil || o.cfg.Now().Sub(info.ModTime()) > noteAge {
		return g
	}
	g = Given{Up: 1, Since: info.ModTime().UTC(), Last: info.ModTime().UTC()}
	content, err := os.ReadFile(o.notePath())
	if err != nil || len(content) == 0 {
		return g
	}
	g.Up = 0
	for line := range strings.Lines(string(content)) {
		var at int64
		var kind string
		if _, err := fmt.Sscan(line, &at, &kind); err != nil { // torn, by a disk that filled up
			continue
		}
		if g.Last = time.UnixMilli(at).UTC(); g.Up == 0 {
			g.Since = g.Last
		}
		g.Up++
		if kind == notStarted {
			g.NotStarted++
		}
		_, g.Reason, _ = strings.Cut(strings.TrimSpace(line), kind+" ")
	}
	return g
}

const (
	noteAge     = 7 * 24 * time.Hour
	notRecorded = "not-recorded"
	notStarted  = "not-started"
)

// note notes that something was given up. It is best effort: what kept the event from being recorded may
// keep this from being noted, too.
func (o *Outbox) note(kind string, err error) {
	if err == nil || errors.Is(err, ErrOff) || errors.Is(err, ErrNoMain) {
		return
	}
	line := fmt.Sprintf("%d %s ", o.cfg.Now().UnixMilli(), kind)
	if cause := cmp.Or(store.Cause(err), known(err)); cause != nil {
		line += cause.Error()
	}
	store.AddNote(o.notePath(), line)
}

// known returns which of the errors that only a flusher meets is behind err.
func known(err error) error {
	for _, one := range []error{errConfig, ErrNone} {
		if errors.Is(err, one) {
			return one
		}
	}
	return nil
}

func (o *Outbox) notePath() string { return o.cfg.Path + ".notes" }

// forgetNotes forgets what was given up, and what earlier versions have noted in two files.
func (o *Outbox) forgetNotes() {
	for _, suffix := range []string{".notes", ".not-recorded", ".not-started"} {
		os.Remove(o.cfg.Path + suffix)
	}
}
