package secrets

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
)

// UnsetOptions choose among several secrets with one key.
type UnsetOptions struct {
	Type     string // those with this type of binding; "" requires that there is only one
	AllTypes bool   // all of them
}

// Unset fetches the list once, then deletes the secrets of each distinct key, as [Client.Set] sends them, and
// yields a result for each in the order given. A key that is not in the list gives [ErrNoSuchSecret], one that
// the options do not choose among an [*AmbiguousKeyError]; after a failure that the rest would share, and when
// ctx ends, the rest is [ErrNotTried]. Deleting happens while the caller listens. The error is that of
// [Client.List].
//
// A key that is not in the list also means the one that looks like it: nobody can type one with a byte order
// mark.
func (c *Client) Unset(ctx context.Context, keys []string, o UnsetOptions) (iter.Seq[Result], error) {
	list, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	deletions := deletionsOf(list, keys, o)
	remove := func(ctx context.Context, i int) error {
		if deletions[i].Err != nil {
			return nil
		}
		return c.delete(ctx, deletions[i].id)
	}
	ends := func(_ int, err error) bool { return endsRun(err) }
	return func(yield func(Result) bool) {
		for i, err := range run(ctx, len(deletions), remove, ends) {
			result := deletions[i].Result
			result.Err = cmp.Or(result.Err, err)
			if !yield(result) {
				return
			}
		}
	}, nil
}

// deletion is a secret to delete, or the result for a key without one.
type deletion struct {
	Result
	id string
}

// deletionsOf chooses the secrets of the list to delete for each distinct key.
func deletionsOf(list []Secret, keys []string, o UnsetOptions) (all []deletion) {
	for i, key := range keys {
		if slices.Contains(keys[:i], key) {
			continue
		}
		found := matching(list, key, o.Type)
		switch {
		case len(found) == 0:
			all = append(all, deletion{Result: Result{Key: key, Err: ErrNoSuchSecret}})
		case len(found) > 1 && o.Type == "" && !o.AllTypes:
			ambiguous := &AmbiguousKeyError{Key: key}
			for _, secret := range found {
				ambiguous.Types = append(ambiguous.Types, secret.Type)
			}
			all = append(all, deletion{Result: Result{Key: key, Err: ambiguous}})
		case len(found) == 1:
			all = append(all, deletion{Result{Key: key}, found[0].ID})
		default:
			for _, secret := range found {
				all = append(all, deletion{Result{Key: key, Type: secret.Type}, secret.ID})
			}
		}
	}
	return all
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
	return slices.DeleteFunc(exact, func(s Secret) bool { return kind != "" && s.Type != kind })
}

// delete deletes a secret of the list. A secret that is gone already is ErrNoSuchSecret.
func (c *Client) delete(ctx context.Context, id string) error {
	a, err := c.change(ctx, request{method: http.MethodDelete, action: Deleting, segments: []string{id}})
	var refused *StatusError
	if !errors.As(err, &refused) || refused.Status != http.StatusNotFound && refused.Status != http.StatusGone {
		return err
	}
	if a.retried {
		return nil // the first attempt deleted it, only its answer was lost
	}
	return ErrNoSuchSecret
}
