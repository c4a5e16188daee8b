package secrets

import (
	"context"
	"iter"
	"net/http"
)

// Unset fetches the list once, then deletes each distinct key, one after the other in the
// order given, and yields a result for each: [ErrNoSuchSecret] for a key that is not in the
// list. Deleting happens while the caller listens. The error is that of [Client.List].
func (c *Client) Unset(ctx context.Context, keys []string) (iter.Seq[Result], error) {
	list, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]string, len(list))
	for _, secret := range list {
		if secret.ID != "" {
			ids[secret.Key] = secret.ID
		}
	}
	return func(yield func(Result) bool) {
		done := make(map[string]bool, len(keys))
		for _, key := range keys {
			if done[key] {
				continue
			}
			done[key] = true
			if !yield(Result{Key: key, Err: c.deleteIn(ctx, ids, key)}) {
				return
			}
		}
	}, nil
}

func (c *Client) deleteIn(ctx context.Context, ids map[string]string, key string) error {
	id, found := ids[key]
	if !found {
		return ErrNoSuchSecret
	}
	a, err := c.call(ctx, http.MethodDelete, nil, id)
	if a.retried && a.status == http.StatusNotFound {
		return nil // the first attempt deleted it, only its answer was lost
	}
	return err
}
