package track

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// CloudTimeout bounds the question whose a credential is.
const CloudTimeout = 2 * time.Second

// resolver finds out whose held messages are.
type resolver struct {
	t     *Tracker
	home  Home
	again bool // ask about credentials that were refused lately, too
}

// resolve asks Arcade Cloud about the credentials that messages wait for and that are at hand,
// within CloudTimeout. What Cloud does not tell stays undecided and goes out anonymously.
func (r resolver) resolve(ctx context.Context, box *outbox.Outbox, names []string) error {
	asking, cancel := context.WithTimeout(ctx, CloudTimeout)
	defer cancel()
	for _, c := range r.available() {
		wanted, err := r.isWanted(ctx, box, names, c)
		if err != nil {
			return err
		}
		if !wanted {
			continue
		}
		cloud := c.Cloud(&http.Client{Transport: r.t.ToArcade()})
		account, err := cloud.WhoAmI(asking, c)
		switch {
		case err == nil:
			err = r.learn(ctx, box, c.Fingerprint(), account.PrincipalID)
		case errors.Is(err, identity.ErrNotAuthenticated):
			err = box.Update(ctx, func(tx *outbox.Tx) error { return identity.Refuse(ctx, tx.Tx, c, tx.Now()) })
		default: // slow or unreachable: the next run asks again
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// available returns the credentials that this process can present: the logins of the file and the key of the
// environment. A flusher never renews a token, and never asks with one that has expired. While a
// self-hosted installation is in use, or the file cannot be read, Arcade Cloud is asked nothing.
func (r resolver) available() []identity.Credentials {
	var list []identity.Credentials
	file := readCredentials(r.home)
	if !file.unreadable && !file.SelfHosted() {
		logins, _ := r.home.Credentials().Logins()
		for _, c := range logins.Contexts {
			if c.Present() && !c.SelfHosted() && !c.Expired(r.t.Now()) {
				list = append(list, c)
			}
		}
	}
	if key, apart, _ := r.t.KeyInForce(); key.Present() && !apart {
		list = append(list, key)
	}
	return list
}

// isWanted reports whether messages wait for these credentials: events by their own name, a waiting
// alias, which has none, by that of the home's state. Credentials that Arcade Cloud has refused
// within the last hour are asked about only again if a person waits.
func (r resolver) isWanted(ctx context.Context, box *outbox.Outbox, names []string, c identity.Credentials) (wanted bool, err error) {
	err = box.Update(ctx, func(tx *outbox.Tx) error {
		wanted = slices.Contains(names, c.Fingerprint())
		if !wanted && slices.Contains(names, "") {
			state, _, err := identity.Load(ctx, tx.Tx)
			if err != nil {
				return err
			}
			wanted = state.Credential == c.Fingerprint()
		}
		if !wanted || r.again {
			return nil
		}
		refused, err := identity.Refused(ctx, tx.Tx, c, tx.Now())
		wanted = !refused
		return err
	})
	return wanted, err
}

// learn looks at the credentials file again: it may have changed while Cloud was asked.
func (r resolver) learn(ctx context.Context, box *outbox.Outbox, fingerprint, principal string) error {
	return box.Update(ctx, func(tx *outbox.Tx) error {
		now, err := readIdentity(ctx, tx.Tx, r.home)
		if err != nil {
			return err
		}
		if err := identity.Remember(ctx, tx.Tx, fingerprint, principal, tx.Now()); err != nil {
			return err
		}
		next, steps := decide(now, identity.Learned{
			Credential: fingerprint, Principal: principal, InFile: fingerprint == readCredentials(r.home).fingerprint,
		}, r.t.NewAnon)
		if err := r.t.add(ctx, tx, steps, outbox.Message{}); err != nil {
			return err
		}
		if err := save(ctx, tx, now, next); err != nil {
			return err
		}
		tx.AfterCommit(func() error { return r.t.export(ctx, box, r.home, now.mirror, next[len(next)-1]) })
		return nil
	})
}
