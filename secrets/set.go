package secrets

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
)

// description is shown beside a secret that this program set.
const description = "Secret set via CLI"

// Set stores the pairs, whose keys must differ, and yields a result for each in the order given, as soon as it
// and those before it are known. The first goes alone, then up to four at once.
//
// A failure of one key does not stop the others. After one that they would share, and when ctx ends, the rest
// is not sent: [ErrNotTried]. Nor is it when the caller stops listening.
func (c *Client) Set(ctx context.Context, pairs []Pair) iter.Seq[Result] {
	put := func(ctx context.Context, i int) error { return c.put(ctx, pairs[i]) }
	ends := func(i int, err error) bool {
		return endsRun(err) || isNotFound(err) && isName(pairs[i].Key) // a slash in a key may lead elsewhere
	}
	return func(yield func(Result) bool) {
		for i, err := range run(ctx, len(pairs), put, ends) {
			if !yield(Result{Key: pairs[i].Key, Err: err}) {
				return
			}
		}
	}
}

func (c *Client) put(ctx context.Context, pair Pair) error {
	body, _ := json.Marshal(struct { // never fails for two strings
		Description string `json:"description"`
		Value       string `json:"value"`
	}{description, pair.Value})
	_, err := c.change(ctx, request{method: http.MethodPut, action: Setting, body: body, segments: []string{pair.Key}})
	return err
}
