//go:build unix

package fire

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/migrations"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// crowd is what becomes of commands that are started at once.
type crowd struct {
	*machine
	n        int
	recorded map[string]bool // uuids
	failures []string        // what those said that recorded nothing
	slowest  time.Duration   // of the commands, from their first line of code to their last
	median   time.Duration
}

// gather starts n commands at once and waits for the last one. Whatever happens to their
// recording, they must have said and returned what they always do.
func (m *machine) gather(n int) *crowd {
	m.Helper()
	c := &crowd{machine: m, n: n, recorded: map[string]bool{}}
	m = m.with("ARCADE_USAGE_DEBUG=1").traced()
	before := len(m.trace())
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
			c.note(r.Stderr)
		})
	}
	wg.Wait()
	c.time(m.trace()[before:])
	return c
}

func (c *crowd) note(stderr string) {
	_, rest, found := strings.Cut(stderr, "usage: recorded ")
	if !found {
		c.failures = append(c.failures, strings.TrimSpace(stderr))
		return
	}
	uuid, _, _ := strings.Cut(rest, " ")
	c.recorded[uuid] = true
}

// join counts one more command in.
func (c *crowd) join(stderr string) {
	c.n++
	c.note(stderr)
}

// time reads from the trace what the commands themselves say of how long they took: how long a
// busy machine takes to start a process is not theirs to answer for.
func (c *crowd) time(lines []traceLine) {
	var took []time.Duration
	for _, line := range lines {
		if line.role == "command" && line.what == "exit" {
			took = append(took, line.at)
		}
	}
	slices.Sort(took)
	if len(took) < c.n {
		c.Fatalf("%d of %d commands have come to their end", len(took), c.n)
	}
	c.median, c.slowest = took[len(took)/2], took[len(took)-1]
}

// all checks that everybody has recorded, within the bound.
func (c *crowd) all() {
	c.Helper()
	c.bounded(track.RecordLimit)
	if len(c.recorded) != c.n {
		c.Errorf("%d of %d commands have recorded something, the others say %v", len(c.recorded), c.n, distinct(c.failures))
	}
}

func (c *crowd) bounded(limit time.Duration) {
	c.Helper()
	if slack := 3 * time.Second; c.slowest > limit+slack {
		c.Errorf("the slowest command took %s, want at most %s", c.slowest, limit)
	}
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// settled delivers what waits and checks that everything that was recorded has arrived, once,
// and n other events.
func (c *crowd) settled(n int) {
	c.Helper()
	n += len(c.recorded)
	c.AwaitNoFlusher()
	c.with(testbed.TestClock+"=2h", "ARCADE_USAGE_KEY=phc_test").Must("usage", "flush", "--timeout", "60s")
	arrived := c.shown()
	for uuid := range c.recorded {
		if !arrived[uuid] {
			c.Errorf("the event %s was recorded and has not arrived", uuid)
		}
	}
	if got := len(c.Posthog.Events()); got != n || len(arrived) != n {
		c.Errorf("%d events have arrived, %d different ones, want %d", got, len(arrived), n)
	}
	c.NoViolations()
	c.neverTwoFlushers()
	c.sound()
}

// log reports the figures of one crowd in a line.
func (c *crowd) log() {
	c.Helper()
	c.Logf("%d commands at once, %d recorded, %d not; half of them within %s, all within %s; %d requests",
		c.n, len(c.recorded), len(c.failures), c.median, c.slowest, len(c.Posthog.Requests()))
}

// few is the size of a crowd that has to go on without the write lock. SQLite's own lock is
// had by trying again and again, and with the race detector 200 would need more time for that
// than there is.
func few(long bool) int {
	switch {
	case testbed.RaceDetector && !long:
		return 8
	case testbed.RaceDetector:
		return 40
	case !long:
		return 20
	default:
		return 200
	}
}

// several is how many crowds there are at once: large ones would only measure each other.
func several(long bool, n int) int {
	if long {
		return 1
	}
	return n
}

func TestTortureCrowdOnAFreshHome(t *testing.T) {
	n := 60
	if _, long := rounds(t, 0); long && !testbed.RaceDetector {
		n = 200
	}
	m := newMachine(t)
	c := m.gather(n)
	c.log()
	c.all()
	c.settled(0)
}

func TestTortureCrowdOnAnOldHomeWithAFlusherAtWork(t *testing.T) {
	n, backlog := size(t, 40, 200), size(t, 1000, 3000)
	m := newMachine(t)
	m.with("ARCADE_USAGE_KEY=").Must("succeed") // has an identity and starts no flusher
	m.recordInBulk(backlog, 0)
	m.Posthog.SetLatency(100 * time.Millisecond)
	c := m.gather(n)
	c.log()
	c.all()
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
	_, long := rounds(t, 0)
	if !long {
		t.Parallel() // it mostly waits
	}
	points := []string{"after-commit", "before-export"}
	atOnce(len(points), several(long, len(points)), func(i int) {
		t.Run(points[i], func(t *testing.T) {
			m := newMachine(t)
			offline := m.with("ARCADE_USAGE_KEY=") // so that the flusher of nobody is in the way
			stopped := offline.startStopped(points[i], offline.Command("succeed"))
			c := offline.gather(few(long))
			c.log()
			c.all()
			m.with("ARCADE_USAGE_KEY=phc_test").flusher()
			if n := m.count(outbox.Pending); n > 0 {
				t.Errorf("%d events were not delivered, because one process is stopped", n)
			}
			stopped.resume()
			if stopped.lasted > track.RecordLimit {
				t.Skip("this machine is too busy: the stopped command's own time was up before it could go on")
			}
			c.join(stopped.said.String()) // its own event was not lost either
			c.all()
			c.settled(0)
		})
	})
}

// holdTransaction opens the database as another program would, and holds a transaction.
func (m *machine) holdTransaction(statement string) (end func()) {
	m.Helper()
	db, err := sql.Open("sqlite", "file:"+m.Path("usage.db")+"?_busy_timeout=5000&_txlock=deferred")
	if err != nil {
		m.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		m.Fatal(err)
	}
	rows, err := tx.Query(statement)
	if err != nil {
		m.Fatal(err)
	}
	for rows.Next() {
	}
	rows.Close()
	var once sync.Once
	return func() {
		once.Do(func() {
			tx.Rollback()
			db.Close()
		})
	}
}
