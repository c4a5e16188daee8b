package track

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// present is who this home is, in the database and in usage.json.
type present struct {
	state  identity.State
	mirror mirrorFile
	// adopted is what another program wrote into usage.json, nil for nothing new.
	adopted identity.Input
}

// mirrorFile is usage.json as it was found.
type mirrorFile struct {
	identity.Mirror
	digest  string // "" when the file is missing
	stored  string // the digest of what was exported last
	foreign bool   // another program wrote it, and it is valid
	skip    bool   // it cannot be read now, so it is not written either
}

func readMirror(ctx context.Context, tx *sql.Tx, home Home) (file mirrorFile, err error) {
	if file.stored, err = identity.MirrorDigest(ctx, tx); err != nil {
		return file, err
	}
	file.Mirror, file.digest, err = identity.ReadMirror(home.mirror())
	switch {
	case err == nil:
		file.foreign = file.digest != file.stored
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, identity.ErrMirrorInvalid): // exported again
	default:
		file.skip = true
	}
	return file, nil
}

// readIdentity also finds out whether usage.json is to be adopted. A file of our own that differs
// is older than the database, and holds an anon id that was left behind since, unless damage has
// taken that: from everywhere, or only from the row and not from its index.
func readIdentity(ctx context.Context, tx *sql.Tx, home Home) (now present, err error) {
	if now.mirror, err = readMirror(ctx, tx, home); err != nil {
		return now, err
	}
	if now.state, _, err = identity.Load(ctx, tx); err != nil {
		return now, err
	}
	file := now.mirror
	if file.AnonID == "" || !file.foreign && file.AnonID == now.state.AnonID {
		return now, nil
	}
	known, found, err := identity.Lookup(ctx, tx, file.AnonID)
	if err != nil || found && !file.foreign && now.state.AnonID != "" {
		return now, err
	}
	now.adopted = identity.Adopted{AnonID: file.AnonID, PrincipalID: file.PrincipalID, Known: known}
	return now, nil
}

// decide lets the state machine decide what usage.json and then the input make of this home. It
// returns each state on the way, also one that is only passed through: it may hold what must not
// be forgotten, such as that an anon id belongs to a person.
func decide(now present, in identity.Input, newAnon func() string) (states []identity.State, steps []identity.Step) {
	state := now.state
	for _, in := range []identity.Input{now.adopted, in} {
		if in == nil {
			continue
		}
		var asked []identity.Step
		state, asked = identity.Next(state, in, newAnon)
		states, steps = append(states, state), append(steps, asked...)
	}
	return states, steps
}

// add carries out what the state machine asks for, with event as the one it may add.
func (t *Tracker) add(ctx context.Context, tx *outbox.Tx, steps []identity.Step, event outbox.Message) error {
	for _, s := range steps {
		if err := t.addOne(ctx, tx, s, event); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tracker) addOne(ctx context.Context, tx *outbox.Tx, s identity.Step, event outbox.Message) error {
	switch s.Kind {
	case identity.AddEvent:
		event.AnonID, event.DistinctID, event.Hold = s.AnonID, s.DistinctID, s.Credential
		return tx.Add(ctx, event)
	case identity.AddAlias:
		return tx.Add(ctx, outbox.Message{
			Kind: outbox.Alias, Event: aliasEvent, AnonID: s.AnonID, DistinctID: s.DistinctID, RecordedAt: event.RecordedAt,
		})
	case identity.DecideEvents:
		return tx.Decide(ctx, outbox.Held{Kind: outbox.Capture, AnonID: s.AnonID, Hold: s.Credential}, s.DistinctID)
	case identity.DecideAlias:
		return tx.Decide(ctx, outbox.Held{Kind: outbox.Alias, AnonID: s.AnonID}, s.DistinctID)
	case identity.DropAlias:
		return tx.Withdraw(ctx, outbox.Held{Kind: outbox.Alias, AnonID: s.AnonID})
	default:
		return fmt.Errorf("unknown step %v", s.Kind)
	}
}

func save(ctx context.Context, tx *outbox.Tx, now present, states []identity.State) error {
	if now.adopted != nil {
		// Even if this process dies before it exports, the older file must not count as new again.
		if err := identity.SetMirrorDigest(ctx, tx.Tx, now.mirror.digest); err != nil {
			return err
		}
	}
	before := now.state
	for _, state := range states {
		if err := identity.Save(ctx, tx.Tx, before, state, tx.Now()); err != nil {
			return err
		}
		before = state
	}
	return nil
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

// released notes that events go out as anonID, which may have to be stitched to a person later.
func (t *Tracker) released(ctx context.Context, tx *outbox.Tx, anonID string) error {
	return t.apply(ctx, tx, identity.Released{AnonID: anonID})
}

// moved leaves the anon id to the machine that this home was copied from.
func (t *Tracker) moved(ctx context.Context, tx *outbox.Tx) error {
	return t.apply(ctx, tx, identity.Moved{})
}

// apply lets the state machine decide, if this home has an identity, and carries that out.
func (t *Tracker) apply(ctx context.Context, tx *outbox.Tx, in identity.Input) error {
	state, found, err := identity.Load(ctx, tx.Tx)
	if err != nil || !found {
		return err
	}
	next, steps := identity.Next(state, in, t.NewAnon)
	if err := t.add(ctx, tx, steps, outbox.Message{}); err != nil {
		return err
	}
	return identity.Save(ctx, tx.Tx, state, next, tx.Now())
}
