//go:build unix

package fire

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/migrations"
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
	m = m.with("ARCADE_USAGE_DEBUG=1").traced()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		cmd := m.Command("succeed")
		wg.Go(func() {
			r := m.Finish(cmd)
			mu.Lock()
			defer mu.Unlock()
			if r.Code != 0 || r.Stdout != "" {
				m.Errorf("a command of the crowd ended with %d and said %q", r.Code, r.Stdout)
			}
			c.join(r.Stderr)
		})
	}
	wg.Wait()
	return c
}

// join counts one more command in.
func (c *crowd) join(stderr string) {
	c.n++
	_, rest, found := strings.Cut(stderr, "usage: recorded ")
	if !found {
		c.failures = append(c.failures, strings.TrimSpace(stderr))
		return
	}
	uuid, _, _ := strings.Cut(rest, " ")
	c.recorded[uuid] = true
}

// accounted checks that each command has recorded its event or is counted as one that has not: a
// busy machine may take longer for a crowd than a command waits.
func (c *crowd) accounted() {
	c.Helper()
	box, err := outbox.New(outbox.Config{Path: c.Path("usage.db")})
	if err != nil {
		c.Fatal(err)
	}
	given := box.GivenUp()
	if missed := given.Up - given.NotStarted; len(c.recorded) == 0 || len(c.recorded)+missed != c.n {
		c.Errorf("%d of %d commands have recorded something and %d are counted as missed, want none forgotten; the others say %v",
			len(c.recorded), c.n, missed, slices.Compact(slices.Sorted(slices.Values(c.failures))))
	}
	c.Logf("%d commands at once, %d recorded; %d requests", c.n, len(c.recorded), len(c.Posthog.Requests()))
}

// settled delivers what waits and checks that everything that was recorded has arrived, once,
// and so many other events.
func (c *crowd) settled(others int) {
	c.Helper()
	c.AwaitNoFlusher()
	c.with(testbed.TestClock+"=2h", "ARCADE_USAGE_KEY=phc_test").Must(flushing...)
	arrived := c.shown()
	for uuid := range c.recorded {
		if !arrived[uuid] {
			c.Errorf("the event %s was recorded and has not arrived", uuid)
		}
	}
	if doubled := c.doubled(); len(doubled) > 0 || len(arrived) < len(c.recorded)+others {
		c.Errorf("%d events have arrived, want %d and %d others; twice: %v", len(arrived), len(c.recorded), others, doubled)
	}
	c.NoViolations()
	c.neverTwoFlushers()
	c.sound()
}

func TestTortureCrowdOnAFreshHome(t *testing.T) {
	c := newMachine(t).gather(size(t, 60, 200))
	c.accounted()
	c.settled(0)
}

func TestTortureCrowdOnAnOldHomeWithAFlusherAtWork(t *testing.T) {
	n, backlog := size(t, 40, 200), size(t, 1000, 3000)
	m := newMachine(t)
	m.unsent().Must("succeed") // has an identity and starts no flusher
	m.recordInBulk(backlog, 0)
	m.Posthog.SetLatency(100 * time.Millisecond)
	c := m.gather(n)
	c.accounted()
	c.settled(backlog + 1)
}

// recordInBulk adds n events of at least the given size in bytes, as a machine has that was
// offline for long.
func (m *machine) recordInBulk(n, size int) {
	m.Helper()
	anon := m.Query(`SELECT anon_id FROM identities WHERE retired_at IS NULL`)
	box, err := outbox.New(outbox.Config{Path: m.Path("usage.db"), Tables: migrations.Identity()})
	if err != nil {
		m.Fatal(err)
	}
	defer box.Close()
	padding := ""
	if size > 0 {
		padding = fmt.Sprintf(`,"padding":"%s"`, strings.Repeat("x", size))
	}
	err = box.Update(context.Background(), func(tx *outbox.Tx) error {
		for i := range n {
			err := tx.Add(context.Background(), outbox.Message{
				UUID: uuid.NewString(), Kind: outbox.Capture, Event: "CLI execution succeeded", AnonID: anon, DistinctID: anon,
				Properties: fmt.Appendf(nil, `{"n":%d%s}`, i, padding), RecordedAt: time.Now(),
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		m.Fatal(err)
	}
}

// A process can be stopped with the write lock in hand: by SIGSTOP, by a debugger, by a frozen
// container. The others wait for a bounded time and then go on without the lock, where there is a database.
func TestTortureCrowdBehindAStoppedProcess(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, point := range []string{"after-commit", "before-export"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			stopped := m.unsent().startStopped(point, m.unsent().Command("succeed"))
			c := m.unsent().gather(size(t, 20, 60))
			for tries := 1; m.pending() > 0; tries++ {
				if tries > 5 {
					t.Fatalf("%d events were not delivered, because one process is stopped", m.pending())
				}
				m.with(fmt.Sprintf("%s=%dh", testbed.TestClock, 2*tries)).flusher()
			}
			stopped.resume()
			c.join(stopped.said.String()) // its own event was not lost either
			c.accounted()
			c.settled(0)
		})
	}
}
