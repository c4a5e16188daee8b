package outbox_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"modernc.org/sqlite"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// refusals counts down, by the path of a database, to the statement that fails.
var refusals sync.Map

var refuse = sync.OnceFunc(func() {
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, address string) error {
		var left *atomic.Int64
		refusals.Range(func(name, counter any) bool {
			if strings.Contains(address, name.(string)) {
				left = counter.(*atomic.Int64)
			}
			return left == nil
		})
		registerer, ok := conn.(sqlite.AuthorizerRegisterer)
		if left == nil || !ok {
			return nil
		}
		return registerer.RegisterAuthorizer(func(action sqlite.AuthorizerActionCode, _, _, _, _ string) sqlite.AuthorizerReturnCode {
			switch action {
			case sqlite.AuthSelect, sqlite.AuthInsert, sqlite.AuthUpdate, sqlite.AuthDelete:
				if left.Add(-1) == 0 {
					return sqlite.AuthorizerDeny
				}
			}
			return sqlite.AuthorizerOK
		})
	})
})

// Each statement after the answer fails once, a read as well as a write: what the run says is what the database holds.
func TestAStatementThatFailsAfterTheAnswerIsTold(t *testing.T) {
	refuse()
	for name, answer := range map[string]outbox.Verdict{"accepted": accepted, "refused": refused, "postponed": again} {
		t.Run(name, func(t *testing.T) {
			for nth := int64(1); nth < 100; nth++ {
				b := newBench(t)
				var left atomic.Int64
				key := fmt.Sprintf("usage-%s-%d.db", name, nth)
				b.box.Close()
				b.path = strings.TrimSuffix(b.path, "usage.db") + key
				b.box = b.open()
				b.addEvents(2)
				refusals.Store(key, &left)
				result, err := b.flush(through(&scripted{answer: func(r outbox.Request) outbox.Answer {
					left.Store(nth)
					return each(func(int) outbox.Verdict { return answer })(r)
				}}))
				refusals.Delete(key)
				if left.Load() > 0 { // fewer statements than that
					if nth < 5 {
						t.Fatalf("only %d statements came after the answer", nth-1)
					}
					return
				}
				var delay *outbox.Delay
				if err == nil || errors.As(err, &delay) && !strings.Contains(err.Error(), "not authorized") {
					t.Errorf("statement %d failed and the run ended with %v, want the error", nth, err)
				}
				if c := b.counts(); c.Pending+result.Delivered+result.Dead != 2 || c.Dead != result.Dead {
					t.Errorf("statement %d failed: the run says %+v and the database holds %+v", nth, result, c)
				}
			}
		})
	}
}
