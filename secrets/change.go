package secrets

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// parallel is the number of calls at once: enough to hide the round trips of a long .env file, too few to
// look like an attack.
const parallel = 4

// Result is the fate of one key; Err is nil for success.
type Result struct {
	Key  string
	Type string // of the deleted secret's binding, where the key has several; else ""
	Err  error
}

// ErrNotTried is the result for a key that was not sent, see [Client.Set].
var ErrNotTried = errors.New("not tried")

// ErrNoSuchSecret is the result for a key without a secret.
var ErrNoSuchSecret = errors.New("no such secret")

// AmbiguousKeyError is the result for a key with several secrets.
type AmbiguousKeyError struct{ *Problem }

// Unwrap returns the [*Problem].
func (e *AmbiguousKeyError) Unwrap() error { return e.Problem }

func ambiguous(found []Secret) *AmbiguousKeyError {
	var types []string
	for _, secret := range found {
		if name := cmp.Or(Printable(secret.Binding.Type), "none"); !slices.Contains(types, name) {
			types = append(types, name)
		}
	}
	what := fmt.Sprintf("there are %d secrets with this key, ", len(found))
	if len(types) == 1 {
		return &AmbiguousKeyError{&Problem{what + "all of the type " + types[0], "Delete them with --all-types."}}
	}
	return &AmbiguousKeyError{&Problem{what + "of the types " + strings.Join(types, ", "),
		"Choose one with --type, or delete all with --all-types."}}
}

// change is the request for a key. If its Result has an error already, nothing is sent.
type change struct {
	Result
	request request
}

// Set stores the pairs, whose keys must differ, and yields a result for each in the order given, as soon as it
// and those before it are known. The first goes alone, then up to four at once: the one that is waited for, and three ahead.
//
// A failure of one key does not stop the others. After a failure that all keys would share, and when ctx ends, the
// rest are not sent: [ErrNotTried]. Nothing more is sent when the caller stops listening.
func (c *Client) Set(ctx context.Context, pairs []Pair) iter.Seq[Result] {
	changes := make([]change, len(pairs))
	for i, pair := range pairs {
		body, _ := json.Marshal(map[string]string{"description": "Secret set via CLI", "value": pair.Value}) // strings always marshal
		changes[i] = change{Result{Key: pair.Key}, request{method: http.MethodPut, body: body, segment: pair.Key}}
	}
	return c.run(ctx, changes)
}

// UnsetOptions choose among several secrets with one key.
type UnsetOptions struct {
	Type     string // those with this type of binding; "" requires that there is only one
	AllTypes bool   // all of them
}

// Unset fetches the list once, then deletes the secrets of each distinct key, in the way of [Client.Set] and while
// the caller listens. A key that is not in the list gives [ErrNoSuchSecret], one that the options do not choose
// among an [*AmbiguousKeyError]. The error is that of [Client.List].
//
// A key that is not in the list stands for the one that looks like it: a user cannot type a byte order mark.
func (c *Client) Unset(ctx context.Context, keys []string, o UnsetOptions) (iter.Seq[Result], error) {
	list, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	var changes []change
	for i, key := range keys {
		if slices.Contains(keys[:i], key) {
			continue
		}
		found := matching(list, key, o.Type)
		if len(found) == 0 {
			changes = append(changes, change{Result: Result{Key: key, Err: ErrNoSuchSecret}})
		}
		if len(found) > 1 && o == (UnsetOptions{}) {
			changes = append(changes, change{Result: Result{Key: key, Err: ambiguous(found)}})
			continue
		}
		for _, secret := range found {
			deletion := change{Result{Key: key}, request{method: http.MethodDelete, segment: secret.ID}}
			if len(found) > 1 {
				deletion.Type = secret.Binding.Type
			}
			changes = append(changes, deletion)
		}
	}
	return c.run(ctx, changes), nil
}

// matching returns the secrets of the list with this key and type, "" for any; without one, those whose key looks
// like it, unless several keys do. A secret without an id cannot be deleted.
func matching(list []Secret, key, kind string) []Secret {
	var exact, alike []Secret
	for _, secret := range list {
		switch {
		case secret.ID == "":
		case secret.Key == key:
			exact = append(exact, secret)
		case Printable(secret.Key) == key:
			alike = append(alike, secret)
		}
	}
	if len(exact) == 0 && !slices.ContainsFunc(alike, func(s Secret) bool { return s.Key != alike[0].Key }) {
		exact = alike
	}
	return slices.DeleteFunc(exact, func(s Secret) bool { return kind != "" && s.Binding.Type != kind })
}

// run makes the changes as [Client.Set] says. The first goes alone so that refused credentials and an Engine that
// hangs are met once.
func (c *Client) run(ctx context.Context, changes []change) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		ctx, stop := context.WithCancel(ctx)
		verdicts := make([]chan error, len(changes))
		for i := range verdicts {
			verdicts[i] = make(chan error, 1)
		}
		var ended atomic.Bool
		var taken atomic.Int64
		sendNext := func() bool {
			i := int(taken.Add(1)) - 1
			if i >= len(changes) {
				return false
			}
			err := ErrNotTried
			if !ended.Load() && ctx.Err() == nil {
				err = c.send(ctx, changes[i])
			}
			if changes[i].endsRun(err) {
				ended.Store(true)
			}
			verdicts[i] <- err
			return true
		}
		var workers sync.WaitGroup
		workers.Go(func() {
			sendNext()
			for range parallel {
				workers.Go(func() {
					for sendNext() {
					}
				})
			}
		})
		defer workers.Wait()
		defer stop()
		for i, verdict := range verdicts {
			result := changes[i].Result
			result.Err = cmp.Or(result.Err, <-verdict)
			if !yield(result) {
				return
			}
		}
	}
}

// send makes a change. Only an Engine's answer counts as success.
func (c *Client) send(ctx context.Context, ch change) error {
	if ch.Err != nil {
		return nil
	}
	a, err := c.call(ctx, ch.request)
	var refused *StatusError
	gone := ch.request.method == http.MethodDelete && errors.As(err, &refused) &&
		(refused.Status == http.StatusNotFound || refused.Status == http.StatusGone)
	var document *struct{ Error any }
	switch {
	case gone && a.retried:
		return nil // the first attempt deleted it, only its answer was lost
	case gone:
		return ErrNoSuchSecret
	case err != nil:
		return err
	case !slices.Contains([]int{http.StatusOK, http.StatusCreated, http.StatusNoContent}, a.status):
		return ErrNotEngine
	case len(bytes.TrimSpace(a.body)) == 0:
		return nil
	case json.Unmarshal(a.body, &document) != nil || document == nil:
		return ErrNotEngine
	case document.Error != nil:
		return ErrReported
	}
	return nil
}

// endsRun reports whether every other key would meet err, too: the fault is the connection's, the credentials' or
// the project's, and not the key's.
func (ch change) endsRun(err error) bool {
	var refused *StatusError
	var connection *ConnectionError
	switch {
	case errors.As(err, &refused):
		switch status := refused.Status; status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired, http.StatusNetworkAuthenticationRequired:
			return true
		case http.StatusNotFound:
			return refused.Page || isName(ch.Key) // another key may have led elsewhere, by a slash in it
		default:
			return status < 400 || refused.Page && status < 500 || refused.asksToWait()
		}
	case errors.As(err, &connection):
		return !connection.broke()
	}
	return errors.Is(err, ErrNotEngine) || errors.Is(err, ErrBadToken)
}
