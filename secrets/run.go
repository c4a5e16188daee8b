package secrets

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
)

// parallel is the number of calls at once: enough to hide the round trips of a long .env file, too few to look
// like an attack.
const parallel = 4

// Result is the fate of one key; Err is nil for success.
type Result struct {
	Key  string
	Type string // of the deleted secret's binding, where the key has several; else ""
	Err  error
}

// ErrNotTried is the result for a key that was not sent: an earlier one has met an error that it would meet,
// too, or the context has ended.
var ErrNotTried = errors.New("not tried")

// run makes n calls and yields the error of each, in order, as soon as it and those before it are known. The
// first goes alone, so that refused credentials and an Engine that hangs are met once; then up to four run at
// once. No more are made after an error that ends the run, when ctx ends, or when the caller stops listening.
func run(ctx context.Context, n int, call func(ctx context.Context, i int) error, ends func(i int, err error) bool) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		if n == 0 {
			return
		}
		ctx, stop := context.WithCancel(ctx)
		verdicts := make([]chan error, n)
		for i := range verdicts {
			verdicts[i] = make(chan error, 1)
		}
		var ended atomic.Bool
		send := func(i int) {
			if ended.Load() || ctx.Err() != nil {
				verdicts[i] <- ErrNotTried
				return
			}
			err := call(ctx, i)
			if err != nil && ends(i, err) {
				ended.Store(true)
			}
			verdicts[i] <- err
		}
		var last atomic.Int64 // that was taken
		var workers sync.WaitGroup
		workers.Go(func() {
			send(0)
			for range min(parallel, n-1) {
				workers.Go(func() {
					for i := int(last.Add(1)); i < n; i = int(last.Add(1)) {
						send(i)
					}
				})
			}
		})
		defer workers.Wait()
		defer stop()
		for i, verdict := range verdicts {
			if !yield(i, <-verdict) {
				return
			}
		}
	}
}
