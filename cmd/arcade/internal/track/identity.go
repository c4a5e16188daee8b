package track

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// change lets the state machine decide what usage.json, if another program has changed it, and then in make of
// this home, and carries that out. Event is the one that a step may add. After the commit usage.json is exported.
func (t *Tracker) change(ctx context.Context, tx *outbox.Tx, box *outbox.Outbox, home Home, in identity.Input, event outbox.Message) error {
	state, _, err := identity.Load(ctx, tx.Tx)
	if err != nil {
		return err
	}
	file, err := readMirror(ctx, tx, home, state)
	if err != nil {
		return err
	}
	if file.adopted != nil {
		// Even if this process dies before it exports, the older file must not count as new again.
		if err := identity.SetMirrorDigest(ctx, tx.Tx, file.digest); err != nil {
			return err
		}
		if state, err = t.step(ctx, tx, state, file.adopted, event); err != nil {
			return err
		}
	}
	if state, err = t.step(ctx, tx, state, in, event); err != nil {
		return err
	}
	t.Point("inserted")
	tx.AfterCommit(func() error { return t.export(ctx, box, home, file, state) })
	return nil
}

// step carries out what the state machine makes of one input, and saves the state: also one that is only passed
// through may hold what must not be forgotten, such as that an anon id belongs to a person.
func (t *Tracker) step(
	ctx context.Context, tx *outbox.Tx, state identity.State, in identity.Input, event outbox.Message,
) (identity.State, error) {
	next, steps := identity.Next(state, in, t.NewAnon)
	for _, s := range steps {
		var err error
		switch s.Kind {
		case identity.AddEvent:
			event.AnonID, event.DistinctID, event.Hold = s.AnonID, s.DistinctID, s.Credential
			err = tx.Add(ctx, event)
		case identity.AddAlias:
			err = tx.Add(ctx, outbox.Message{
				Kind: outbox.Alias, Event: aliasEvent, AnonID: s.AnonID, DistinctID: s.DistinctID, RecordedAt: event.RecordedAt,
			})
		case identity.DecideEvents:
			err = tx.Decide(ctx, outbox.Held{Kind: outbox.Capture, AnonID: s.AnonID, Hold: s.Credential}, s.DistinctID)
		case identity.DecideAlias:
			err = tx.Decide(ctx, outbox.Held{Kind: outbox.Alias, AnonID: s.AnonID}, s.DistinctID)
		case identity.DropAlias:
			err = tx.Withdraw(ctx, outbox.Held{Kind: outbox.Alias, AnonID: s.AnonID})
		default:
			err = fmt.Errorf("unknown step %v", s)
		}
		if err != nil {
			return state, err
		}
	}
	return next, identity.Save(ctx, tx.Tx, state, next, tx.Now())
}

// released notes that events go out as anonID, which may have to be stitched to a person later.
func (t *Tracker) released(ctx context.Context, tx *outbox.Tx, anonID string) error {
	return t.stepIfKnown(ctx, tx, identity.Released{AnonID: anonID})
}

// moved leaves the anon id to the machine that this home was copied from.
func (t *Tracker) moved(ctx context.Context, tx *outbox.Tx) error {
	return t.stepIfKnown(ctx, tx, identity.Moved{})
}

// stepIfKnown gives no identity to a home that has none.
func (t *Tracker) stepIfKnown(ctx context.Context, tx *outbox.Tx, in identity.Input) error {
	state, found, err := identity.Load(ctx, tx.Tx)
	if err == nil && found {
		_, err = t.step(ctx, tx, state, in, outbox.Message{})
	}
	return err
}

// mirrorFile is usage.json as it was found.
type mirrorFile struct {
	identity.Mirror
	digest string // "" when the file is missing
	stored string // the digest of what was exported last
	skip   bool   // it cannot be read now, so it is not written either
	// adopted is what another program wrote into it, nil for nothing new.
	adopted identity.Input
}

// readMirror also finds out whether usage.json is to be adopted. A file of our own that differs from state is
// older than the database, and holds an anon id that was left behind since, unless damage has
// taken that: from everywhere, or only from the row and not from its index.
func readMirror(ctx context.Context, tx *outbox.Tx, home Home, state identity.State) (file mirrorFile, err error) {
	if file.stored, err = identity.MirrorDigest(ctx, tx.Tx); err != nil {
		return file, err
	}
	var unread error
	file.Mirror, file.digest, unread = identity.ReadMirror(home.mirror())
	if unread != nil { // a missing or invalid file is exported again
		file.skip = !errors.Is(unread, fs.ErrNotExist) && !errors.Is(unread, identity.ErrMirrorInvalid)
		return file, nil
	}
	isForeign := file.digest != file.stored
	if !isForeign && file.AnonID == state.AnonID {
		return file, nil
	}
	known, found, err := identity.Lookup(ctx, tx.Tx, file.AnonID)
	if isForeign || !found || state.AnonID == "" {
		file.adopted = identity.Adopted{AnonID: file.AnonID, PrincipalID: file.PrincipalID, Known: known}
	}
	return file, err
}

// export writes usage.json when its content would differ. Called with the write lock held and
// after the commit: the database is the truth. A process that dies between the two leaves the
// old file with its known digest, and the next command exports again; one that dies before the
// digest is stored leaves a file that says what the database says, and adopting that changes
// nothing.
//
// The file is written inside a transaction, from what the database says then: a process that
// was stopped here was passed by others, and must not write what it remembers over what they
// wrote.
func (t *Tracker) export(ctx context.Context, box *outbox.Outbox, home Home, file mirrorFile, state identity.State) error {
	want := state.Mirror().Keeping(file.Mirror).Digest()
	if file.skip || (file.digest == want && file.stored == want) {
		return nil
	}
	t.Point("before-export")
	return box.Update(ctx, func(tx *outbox.Tx) error {
		state, _, err := identity.Load(ctx, tx.Tx)
		if err != nil {
			return err
		}
		digest, err := identity.WriteMirror(home.mirror(), state.Mirror())
		if err != nil {
			return err
		}
		t.Point("after-export")
		return identity.SetMirrorDigest(ctx, tx.Tx, digest)
	})
}
