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

// CloudTimeout bounds the request for a credential's account.
const CloudTimeout = 2 * time.Second

// resolve asks Arcade Cloud about the available credentials that messages wait for under these names,
// within CloudTimeout. Without an answer they stay undecided and go out anonymously.
func (t *Tracker) resolve(ctx context.Context, box *outbox.Outbox, home Home, names []string) error {
	list, err := t.wanted(ctx, box, home, names)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, CloudTimeout)
	defer cancel()
	for _, c := range list {
		account, err := c.Cloud(&http.Client{Transport: t.ToArcade()}).WhoAmI(asking, c)
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
			now, _ := home.Credentials.Read() // which may have changed meanwhile
			learned := identity.Learned{
				Credential: c.Fingerprint(), Principal: account.PrincipalID, InFile: now.Fingerprint() == c.Fingerprint(),
			}
			return t.change(ctx, tx, box, home, learned, outbox.Message{})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// available returns the credentials that this process can present: the logins of the file and the key of the
// environment. A flusher never renews a token, and never sends an expired one. While a self-hosted installation is in
// use, or the file cannot be read, nothing is sent to Arcade Cloud.
func (t *Tracker) available(home Home) (list []identity.Credentials) {
	if file, _ := home.Credentials.Using("", ""); !file.Apart {
		logins, _ := home.Credentials.Logins()
		for _, c := range logins.Contexts {
			if c.Present() && !c.SelfHosted() && !c.Expired(t.Now()) {
				list = append(list, c)
			}
		}
	}
	if key, apart, _ := t.KeyInForce(); key.Present() && !apart {
		list = append(list, key)
	}
	return list
}

// wanted returns the available credentials that messages wait for and that Cloud has not refused lately. Events wait
// under the name of their credential; aliases, which have none, under that of the home's state.
func (t *Tracker) wanted(ctx context.Context, box *outbox.Outbox, home Home, names []string) (list []identity.Credentials, err error) {
	credentials := t.available(home)
	err = box.Update(ctx, func(tx *outbox.Tx) error {
		list = nil
		state, _, err := identity.Load(ctx, tx.Tx)
		if err != nil {
			return err
		}
		for _, c := range credentials {
			name := c.Fingerprint()
			isAwaited := slices.Contains(names, name) || name == state.Credential && slices.Contains(names, "")
			refused, err := identity.Refused(ctx, tx.Tx, c, tx.Now())
			if err != nil {
				return err
			}
			if isAwaited && !refused {
				list = append(list, c)
			}
		}
		return nil
	})
	return list, err
}
