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
	Type     string // all secrets with this type of binding; "" means the one that there is
	AllTypes bool   // all of them
}

// Unset fetches the list once, then deletes the secrets of each distinct key as [Client.Set] sends them, and
// yields a result for each in the order given. [ErrNoSuchSecret] is the result for a key
// that is not in the list, an [*AmbiguousKeyError] for one that the options do not choose among;
// after a failure that the rest would share, and when ctx ends, the rest is [ErrNotTried].
// Deleting happens while the caller listens. The error is that of [Client.List].
//
// A key that is not in the list as it is given also means the one that looks like it: one with a
// byte order mark in it could not be typed.
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

// deletion is a secret to delete; one without an id has its result.
type deletion struct {
	Result
	id string
}

// deletionsOf chooses the secrets of the list to delete for each distinct key.
func deletionsOf(list []Secret, keys []string, o UnsetOptions) (all []deletion) {
	done := make(map[string]bool, len(keys))
	for _, key := range keys {
		if done[key] {
			continue
		}
		done[key] = true
		found, err := choose(list, key, o)
		if err != nil {
			all = append(all, deletion{Result: Result{Key: key, Err: err}})
		}
		for _, secret := range found {
			one := deletion{Result: Result{Key: key}, id: secret.ID}
			if len(found) > 1 {
				one.Type = secret.Type
			}
			all = append(all, one)
		}
	}
	return all
}

// choose returns the secrets of the list to delete for a key, at least one.
func choose(list []Secret, key string, o UnsetOptions) ([]Secret, error) {
	found := deletable(list, func(s Secret) bool { return s.Key == key })
	if len(found) == 0 {
		found = deletable(list, func(s Secret) bool { return Printable(s.Key) == key })
		if slices.ContainsFunc(found, func(s Secret) bool { return s.Key != found[0].Key }) {
			found = nil // several look like it
		}
	}
	if o.Type != "" {
		found = deletable(found, func(s Secret) bool { return s.Type == o.Type })
	}
	switch {
	case len(found) == 0:
		return nil, ErrNoSuchSecret
	case len(found) > 1 && o.Type == "" && !o.AllTypes:
		ambiguous := &AmbiguousKeyError{Key: key}
		for _, secret := range found {
			ambiguous.Types = append(ambiguous.Types, secret.Type)
		}
		return nil, ambiguous
	}
	return found, nil
}

// deletable returns the secrets of the list that fit and have an id, without which none can be deleted.
func deletable(list []Secret, fits func(Secret) bool) (found []Secret) {
	for _, secret := range list {
		if secret.ID != "" && fits(secret) {
			found = append(found, secret)
		}
	}
	return found
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
