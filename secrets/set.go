package secrets

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
)

// parallel is how many values are on their way at once: enough to hide the round trips of
// a long .env file, too few to look like an attack.
const parallel = 4

// description is what the Engine shows beside a secret that came from here.
const description = "Secret set via CLI"

// Result is the fate of one key; Err is nil when what was asked for was done.
type Result struct {
	Key string
	Err error
}

// Set stores the pairs, whose keys must differ, up to four at once, and yields a result for
// each in the order given as soon as it and those before it are known. One failure does not
// stop the others. When ctx ends, the rest is not sent and its results are ctx's error; a
// caller that stops listening has the same effect.
func (c *Client) Set(ctx context.Context, pairs []Pair) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		ctx, stop := context.WithCancel(ctx)
		verdicts := make([]chan error, len(pairs))
		for i := range verdicts {
			verdicts[i] = make(chan error, 1)
		}
		var next atomic.Int64
		var workers sync.WaitGroup
		for range min(parallel, len(pairs)) {
			workers.Go(func() {
				for i := next.Add(1) - 1; i < int64(len(pairs)); i = next.Add(1) - 1 {
					verdicts[i] <- c.put(ctx, pairs[i])
				}
			})
		}
		defer workers.Wait()
		defer stop()
		for i, pair := range pairs {
			if !yield(Result{Key: pair.Key, Err: <-verdicts[i]}) {
				return
			}
		}
	}
}

func (c *Client) put(ctx context.Context, pair Pair) error {
	body, err := json.Marshal(struct {
		Description string `json:"description"`
		Value       string `json:"value"`
	}{description, pair.Value})
	if err != nil {
		return fmt.Errorf("encode the value: %w", err)
	}
	_, err = c.call(ctx, http.MethodPut, body, pair.Key)
	return err
}
