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
	again bool // ask about credentials that were refused lately, too: a person waits
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
		account, err := c.Cloud(&http.Client{Transport: r.t.ToArcade()}).WhoAmI(asking, c)
		refused := errors.Is(err, identity.ErrNotAuthenticated)
		if err != nil && !refused { // slow or unreachable: the next run asks again
			continue
		}
		err = box.Update(ctx, func(tx *outbox.Tx) error {
			if refused {
				return identity.Refuse(ctx, tx.Tx, c, tx.Now())
			}
			if err := identity.Remember(ctx, tx.Tx, c.Fingerprint(), account.PrincipalID, tx.Now()); err != nil {
				return err
			}
			now, _ := r.home.Credentials().Read() // it may have changed while Cloud was asked
			learned := identity.Learned{
				Credential: c.Fingerprint(), Principal: account.PrincipalID, InFile: now.Fingerprint() == c.Fingerprint(),
			}
			return r.t.change(ctx, tx, box, r.home, learned, outbox.Message{})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// available returns the credentials that this process can present: the logins of the file and the key of the
// environment. A flusher never renews a token, and never asks with one that has expired. While a
// self-hosted installation is in use, or the file cannot be read, Arcade Cloud is asked nothing.
func (r resolver) available() (list []identity.Credentials) {
	if file, _ := r.home.Credentials().Using("", ""); !file.Apart {
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
// alias, which has none, by that of the home's state.
func (r resolver) isWanted(ctx context.Context, box *outbox.Outbox, names []string, c identity.Credentials) (wanted bool, err error) {
	err = box.Update(ctx, func(tx *outbox.Tx) error {
		state, _, err := identity.Load(ctx, tx.Tx)
		if err != nil {
			return err
		}
		wanted = slices.Contains(names, c.Fingerprint()) || slices.Contains(names, "") && state.Credential == c.Fingerprint()
		if !wanted || r.again {
			return nil
		}
		refused, err := identity.Refused(ctx, tx.Tx, c, tx.Now())
		wanted = !refused
		return err
	})
	return wanted, err
}
