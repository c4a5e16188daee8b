package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// ledger is where the identity and the outbox change together: in one transaction, or not at
// all, with usage.json exported under the same lock.
type ledger struct {
	box     *outbox.Outbox
	home    string
	now     func() time.Time
	newAnon func() string
	newUUID func() string
	point   func(name string)
	// behind is why usage.json could not be exported after the last commit. The database is the
	// truth: the next command exports it, and this one goes on.
	behind error
}

func (a *app) newLedger(home string) *ledger {
	return &ledger{box: a.outbox(home), home: home, now: a.now, newAnon: a.newAnon, newUUID: a.newUUID, point: a.point}
}

// fileCredentials is what the credentials file says, as far as the identity goes.
type fileCredentials struct {
	identity.Credentials
	fingerprint string // "" when there is no file
	unreadable  bool   // there is a file, but it cannot be read now
}

func (l *ledger) readCredentials() fileCredentials {
	credentials, err := identity.ReadCredentials(credentialsPath(l.home))
	if err != nil {
		return fileCredentials{unreadable: !errors.Is(err, fs.ErrNotExist)}
	}
	return fileCredentials{Credentials: credentials, fingerprint: credentials.Fingerprint()}
}

// advance feeds the state machine one input and carries out its verdict, with event as the
// event it may ask for. look, when not nil, runs first in the transaction and may refuse.
func (l *ledger) advance(ctx context.Context, event *outbox.Message,
	input func(ctx context.Context, tx *sql.Tx) (identity.Input, error),
	look func(ctx context.Context, tx *sql.Tx) error,
) error {
	return l.box.WithLock(ctx, func() error {
		var file mirrorFile
		var state identity.State
		err := l.box.InTx(ctx, func(tx *sql.Tx) (err error) {
			if look != nil {
				if err := look(ctx, tx); err != nil {
					return err
				}
			}
			if file, err = l.readMirror(ctx, tx); err != nil {
				return err
			}
			in, err := input(ctx, tx)
			if err != nil {
				return err
			}
			state, err = l.step(ctx, tx, file, in, event)
			return err
		})
		if err != nil {
			return err
		}
		l.behind = l.export(ctx, file, state)
		return nil
	})
}

// step adopts usage.json if that is due, then lets the state machine decide. Each state is
// stored, also one that is only passed through: it may hold what must not be forgotten, such as
// that an anon id belongs to somebody.
func (l *ledger) step(ctx context.Context, tx *sql.Tx, file mirrorFile, in identity.Input, event *outbox.Message) (identity.State, error) {
	state, _, err := identity.Load(ctx, tx)
	if err == nil && file.AnonID != "" && (file.foreign || file.AnonID != state.AnonID) {
		state, err = l.adopt(ctx, tx, file, state)
	}
	if err != nil {
		return state, err
	}
	return l.apply(ctx, tx, state, in, event)
}

// adopt takes over what another program wrote into usage.json. A file of our own that differs is
// older than the database, and holds an anon id that was left behind since, unless damage has
// taken that: from everywhere, or only from the row and not from its index.
func (l *ledger) adopt(ctx context.Context, tx *sql.Tx, file mirrorFile, state identity.State) (identity.State, error) {
	known, found, err := identity.Lookup(ctx, tx, file.AnonID)
	if err != nil {
		return state, err
	}
	if found && !file.foreign && state.AnonID != "" {
		return state, identity.CheckRetired(ctx, tx, file.AnonID)
	}
	state, err = l.apply(ctx, tx, state, identity.Adopted{
		AnonID: file.AnonID, PrincipalID: file.PrincipalID,
		Credential: l.readCredentials().fingerprint, Known: known,
	}, nil)
	if err != nil {
		return state, err
	}
	// Noted: an older file must not be taken for news again, whoever dies before an export.
	return state, identity.SetMirrorDigest(ctx, tx, file.digest)
}

// apply carries out what the state machine says to one input, and stores the state.
func (l *ledger) apply(ctx context.Context, tx *sql.Tx, state identity.State, in identity.Input, event *outbox.Message) (identity.State, error) {
	next, steps := identity.Next(state, in, l.newAnon)
	for _, s := range steps {
		if err := l.carryOut(ctx, tx, s, event); err != nil {
			return state, err
		}
	}
	l.point("inserted")
	return next, identity.Save(ctx, tx, state, next, l.now())
}

// carryOut does one thing to the outbox that the state machine asked for.
func (l *ledger) carryOut(ctx context.Context, tx *sql.Tx, s identity.Step, event *outbox.Message) error {
	events := outbox.Undecided{Kind: outbox.Capture, AnonID: s.AnonID, Credential: s.Credential}
	alias := outbox.Undecided{Kind: outbox.Alias, AnonID: s.AnonID}
	switch s.Kind {
	case identity.AddEvent:
		m := *event
		m.AnonID, m.DistinctID, m.Credential = s.AnonID, s.DistinctID, s.Credential
		return outbox.AddTx(ctx, tx, m)
	case identity.AddAlias:
		at := l.now()
		if event != nil {
			at = event.RecordedAt
		}
		return outbox.AddTx(ctx, tx, outbox.Message{
			UUID: l.newUUID(), Kind: outbox.Alias, Event: aliasEvent,
			AnonID: s.AnonID, DistinctID: s.DistinctID,
			Properties: []byte(`{}`), RecordedAt: at,
		})
	case identity.DecideEvents:
		return outbox.DecideTx(ctx, tx, events, s.DistinctID)
	case identity.DecideAlias:
		return outbox.DecideTx(ctx, tx, alias, s.DistinctID)
	case identity.DropAlias:
		return outbox.WithdrawTx(ctx, tx, alias)
	default:
		return fmt.Errorf("unknown step %v", s.Kind)
	}
}

// mirrorFile is usage.json as it was found.
type mirrorFile struct {
	identity.Mirror
	digest  string // "" when the file is missing
	stored  string // the digest of what was exported last
	foreign bool   // another program wrote it, and it is valid
	skip    bool   // it cannot be read now, so it is not written either
}

func (l *ledger) readMirror(ctx context.Context, tx *sql.Tx) (file mirrorFile, err error) {
	if file.stored, err = identity.MirrorDigest(ctx, tx); err != nil {
		return file, err
	}
	file.Mirror, file.digest, err = identity.ReadMirror(mirrorPath(l.home))
	switch {
	case err == nil:
		file.foreign = file.digest != file.stored
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, identity.ErrMirrorInvalid): // exported again
	default:
		file.skip = true
	}
	return file, nil
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
func (l *ledger) export(ctx context.Context, file mirrorFile, state identity.State) error {
	want := state.Mirror().Digest()
	if file.skip || (file.digest == want && file.stored == want) {
		return nil
	}
	l.point("before-export")
	return l.box.InTx(ctx, func(tx *sql.Tx) error {
		state, _, err := identity.Load(ctx, tx)
		if err != nil {
			return err
		}
		digest, err := identity.WriteMirror(mirrorPath(l.home), state.Mirror())
		if err != nil {
			return err
		}
		l.point("after-export")
		return identity.SetMirrorDigest(ctx, tx, digest)
	})
}
