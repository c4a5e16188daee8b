package track

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// change feeds the state machine with usage.json, if another program has changed it, and then with in, and carries
// out its steps. One of them may add event. After the commit it exports usage.json.
func (t *Tracker) change(ctx context.Context, tx *outbox.Tx, box *outbox.Outbox, home Home, in identity.Input, event outbox.Message) error {
	state, _, err := identity.Load(ctx, tx.Tx)
	if err != nil {
		return err
	}
	exported, err := identity.MirrorDigest(ctx, tx.Tx)
	if err != nil {
		return err
	}
	file, digest, unread := identity.ReadMirror(home.mirror())
	if unread == nil {
		state, err = t.adopt(ctx, tx, state, file, digest, exported, event)
	}
	if err == nil {
		state, err = t.step(ctx, tx, state, in, event)
	}
	if err != nil {
		return err
	}
	t.Point("inserted")
	// A missing or invalid file is exported again; one that cannot be read now is not written either.
	isReplaceable := unread == nil || errors.Is(unread, fs.ErrNotExist) || errors.Is(unread, identity.ErrMirrorInvalid)
	if want := state.Mirror().Keeping(file).Digest(); isReplaceable && (digest != want || exported != want) {
		tx.AfterCommit(func() error { return t.export(ctx, box, home) })
	}
	return nil
}

// adopt takes over what another program wrote into usage.json. A file of our own that differs from state is older
// than the database, and its anon id was left behind since; unless damage has taken the id from the database: from
// everywhere, or from the row and not from its index.
func (t *Tracker) adopt(
	ctx context.Context, tx *outbox.Tx, state identity.State, file identity.Mirror, digest, exported string, event outbox.Message,
) (identity.State, error) {
	isForeign := digest != exported
	if !isForeign && file.AnonID == state.AnonID {
		return state, nil
	}
	known, found, err := identity.Lookup(ctx, tx.Tx, file.AnonID)
	if err != nil || !isForeign && found && state.AnonID != "" {
		return state, err
	}
	// Even if this process dies before it exports, the older file must not count as new again.
	if err := identity.SetMirrorDigest(ctx, tx.Tx, digest); err != nil {
		return state, err
	}
	return t.step(ctx, tx, state, identity.Adopted{AnonID: file.AnonID, PrincipalID: file.PrincipalID, Known: known}, event)
}

// step carries out the state machine's steps for one input, and saves the state. It saves an intermediate state, too,
// which may hold what must not be forgotten, such as that an anon id belongs to a person.
func (t *Tracker) step(
	ctx context.Context, tx *outbox.Tx, state identity.State, in identity.Input, event outbox.Message,
) (identity.State, error) {
	next, steps := identity.Next(state, in, uuid.NewString)
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

// stepIfKnown is step for a home that has an identity. It gives no identity to another.
func (t *Tracker) stepIfKnown(ctx context.Context, tx *outbox.Tx, in identity.Input) error {
	state, found, err := identity.Load(ctx, tx.Tx)
	if err == nil && found {
		_, err = t.step(ctx, tx, state, in, outbox.Message{})
	}
	return err
}

// export writes usage.json. Called with the write lock held and after the commit: the database is the truth. A
// process that dies between the two leaves the old file with its known digest, and the next command exports again;
// one that dies before it stores the digest leaves a file that agrees with the database, and adopting it changes
// nothing.
//
// The file is written inside a transaction, from what the database holds then: other processes may have overtaken
// one that was stopped here, which must not overwrite their state with an older one.
func (t *Tracker) export(ctx context.Context, box *outbox.Outbox, home Home) error {
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
