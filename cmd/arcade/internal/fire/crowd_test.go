//go:build unix

package fire

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// crowd is what becomes of commands that are started at once.
type crowd struct {
	*machine
	n        int
	recorded map[string]bool // uuids
	failures []string        // what those said that recorded nothing
}

// gather starts n commands at once and waits for the last one. Whatever happens to their
// recording, they must have said and returned what they always do.
func (m *machine) gather(n int) *crowd {
	m.Helper()
	c := &crowd{machine: m, recorded: map[string]bool{}}
	results := make([]testbed.Result, n)
	atOnce(n, n, func(i int) { results[i] = m.with("ARCADE_USAGE_DEBUG=1").traced().Run("succeed") })
	for _, r := range results {
		if c.join(r.Stderr); r.Code != 0 || r.Stdout != "" {
			m.Errorf("a command of the crowd ended with %d and said %q", r.Code, r.Stdout)
		}
	}
	return c
}

// join counts one more command in.
func (c *crowd) join(stderr string) {
	c.n++
	if uuid, found := recordedBy(stderr); found {
		c.recorded[uuid] = true
	} else {
		c.failures = append(c.failures, strings.TrimSpace(stderr))
	}
}

// isKept checks that each command has recorded its event or is counted as one that has not, since a busy machine may take longer
// for a crowd than a command waits; and that what was recorded arrives, once, and so many other events. A command that gives up
// on the disk may have done either, and cannot tell.
func (c *crowd) isKept(others int) {
	c.Helper()
	box, err := outbox.New(outbox.Config{Path: c.Path("usage.db")})
	c.Require(err)
	given := box.GivenUp()
	told := len(c.recorded) + given.Up - given.NotStarted
	unknown := strings.Count(strings.Join(c.failures, "\n"), "the disk does not answer")
	if len(c.recorded) == 0 || told > c.n || told+unknown < c.n {
		c.Errorf("%d of %d commands have recorded something and %d are counted as missed, want none forgotten; the others say %v",
			len(c.recorded), c.n, told-len(c.recorded), slices.Compact(slices.Sorted(slices.Values(c.failures))))
	}
	c.AwaitNoFlusher()
	c.arrives(len(c.recorded) + others)
	arrived := c.shown()
	for uuid := range c.recorded {
		if !arrived[uuid] {
			c.Errorf("the event %s was recorded and has not arrived", uuid)
		}
	}
	c.neverTwoFlushers()
	c.sound()
	c.Logf("%d commands at once, %d recorded; %d requests", c.n, len(c.recorded), len(c.Posthog.Requests()))
}

func TestTortureCrowdOnAFreshHome(t *testing.T) {
	newMachine(t).gather(size(t, 60, 200)).isKept(0)
}

func TestTortureCrowdOnAnOldHomeWithAFlusherAtWork(t *testing.T) {
	n, backlog := size(t, 40, 200), size(t, 1000, 3000)
	m := newMachine(t)
	m.unsent().Must("succeed") // has an identity and starts no flusher
	m.Multiply(backlog, 0)
	m.Posthog.SetLatency(100 * time.Millisecond)
	m.gather(n).isKept(backlog + 1)
}

// A process can be stopped with the write lock in hand: by SIGSTOP, by a debugger, by a frozen
// container. The others wait for a bounded time and then go on without the lock, where there is a database.
func TestTortureCrowdBehindAStoppedProcess(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, point := range []string{"after-commit", "before-export"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			stopped := m.startStopped(point, succeed)
			c := m.unsent().gather(size(t, 20, 60))
			for tries := 1; m.count(outbox.Pending) > 0; tries++ {
				if tries > 5 {
					t.Fatal("events were not delivered, because one process is stopped")
				}
				m.with(fmt.Sprintf("%s=%dh", testbed.TestClock, 2*tries)).flusher()
			}
			stopped.resume()
			c.join(stopped.said.String()) // its own event was not lost either
			c.isKept(0)
		})
	}
}
