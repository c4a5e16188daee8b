package secrets

import (
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

// Unset fetches the list once, then deletes the secrets of each distinct key, one after the other
// in the order given, and yields a result for each. [ErrNoSuchSecret] is the result for a key
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
	return func(yield func(Result) bool) {
		run := unsetRun{client: c, list: list, options: o, done: make(map[string]bool, len(keys))}
		for _, key := range keys {
			if !run.unset(ctx, key, yield) {
				return
			}
		}
	}, nil
}

// unsetRun is an Unset on its way.
type unsetRun struct {
	client  *Client
	list    []Secret
	options UnsetOptions
	done    map[string]bool // keys
	ended   bool
}

// unset deletes the secrets of a key. It reports whether the caller still listens.
func (r *unsetRun) unset(ctx context.Context, key string, yield func(Result) bool) bool {
	if r.done[key] {
		return true
	}
	r.done[key] = true
	found, err := choose(r.list, key, r.options)
	if err != nil {
		return yield(Result{Key: key, Err: err})
	}
	for _, secret := range found {
		result := Result{Key: key, Err: ErrNotTried}
		if len(found) > 1 {
			result.Type = secret.Type
		}
		if !r.ended && ctx.Err() == nil {
			result.Err = r.client.delete(ctx, secret.ID)
			r.ended = endsRun(result.Err)
		}
		if !yield(result) {
			return false
		}
	}
	return true
}

// choose returns the secrets of the list to delete for a key, at least one.
func choose(list []Secret, key string, o UnsetOptions) ([]Secret, error) {
	found := withKey(list, func(s Secret) bool { return s.Key == key })
	if len(found) == 0 {
		found = withKey(list, func(s Secret) bool { return Printable(s.Key) == key })
		if slices.ContainsFunc(found, func(s Secret) bool { return s.Key != found[0].Key }) {
			found = nil // several look like it
		}
	}
	if o.Type != "" {
		found = withKey(found, func(s Secret) bool { return s.Type == o.Type })
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

// withKey returns the secrets of the list that fit and can be deleted: those that have an id.
func withKey(list []Secret, fits func(Secret) bool) (found []Secret) {
	for _, secret := range list {
		if secret.ID != "" && fits(secret) {
			found = append(found, secret)
		}
	}
	return found
}

// delete deletes a secret of the list. That somebody else was faster is fine.
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
