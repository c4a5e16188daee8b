package secrets

import (
	"context"
	"encoding/json"
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
	Key  string
	Type string // of the deleted secret's binding, where the key has several; else ""
	Err  error
}

// Set stores the pairs, whose keys must differ, and yields a result for each in the order given
// as soon as it and those before it are known. The first goes alone, so that credentials that
// are refused or an Engine that hangs are met once; then up to four are on their way at once.
//
// A failure of one key does not stop the others. After one that they would share, and when ctx
// ends, the rest is not sent: [ErrNotTried]. A caller that stops listening has the same effect.
func (c *Client) Set(ctx context.Context, pairs []Pair) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		if len(pairs) == 0 {
			return
		}
		ctx, stop := context.WithCancel(ctx)
		run := setRun{client: c, pairs: pairs, verdicts: make([]chan error, len(pairs))}
		for i := range run.verdicts {
			run.verdicts[i] = make(chan error, 1)
		}
		var workers sync.WaitGroup
		workers.Go(func() {
			run.send(ctx, 0)
			for range min(parallel, len(pairs)-1) {
				workers.Go(func() { run.sendRest(ctx) })
			}
		})
		defer workers.Wait()
		defer stop()
		for i, pair := range pairs {
			if !yield(Result{Key: pair.Key, Err: <-run.verdicts[i]}) {
				return
			}
		}
	}
}

// setRun is what the workers of Set share.
type setRun struct {
	client   *Client
	pairs    []Pair
	verdicts []chan error
	last     atomic.Int64 // index of the pair that was taken last
	ended    atomic.Bool
}

func (r *setRun) sendRest(ctx context.Context) {
	for i := int(r.last.Add(1)); i < len(r.pairs); i = int(r.last.Add(1)) {
		r.send(ctx, i)
	}
}

func (r *setRun) send(ctx context.Context, i int) {
	if r.ended.Load() || ctx.Err() != nil {
		r.verdicts[i] <- ErrNotTried
		return
	}
	err := r.client.put(ctx, r.pairs[i])
	if endsRun(err) || isNotFound(err) && isName(r.pairs[i].Key) { // a slash in a key may lead elsewhere
		r.ended.Store(true)
	}
	r.verdicts[i] <- err
}

func (c *Client) put(ctx context.Context, pair Pair) error {
	body, _ := json.Marshal(struct { // two strings can always be
		Description string `json:"description"`
		Value       string `json:"value"`
	}{description, pair.Value})
	_, err := c.change(ctx, request{method: http.MethodPut, action: Setting, body: body, segments: []string{pair.Key}})
	return err
}
