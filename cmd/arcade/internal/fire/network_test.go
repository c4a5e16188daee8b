//go:build unix

package fire

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// offlineEvents leaves a machine with n events, the first of them a command's, and no flusher.
func offlineEvents(t testing.TB, n int) *machine {
	m := newMachine(t)
	m.with("ARCADE_USAGE_KEY=").Must("succeed")
	m.recordInBulk(n-1, 0)
	return m
}

// flusher runs a background flusher as a command would start it, to its end, which has to come
// within ten seconds of wall time. Starting and leaving takes a busy machine a moment, too.
func (m *machine) flusher() {
	m.Helper()
	if r := m.Finish(m.Deliverer()); r.Took > 11*time.Second {
		m.Errorf("the flusher took %s, it has 10 s", r.Took)
	}
}

// later is the same machine two hours ahead, past every back-off and Retry-After.
func (m *machine) later() *machine { return m.with(testbed.TestClock + "=2h") }

// nothingMadeUp checks that what counts as delivered here is what PostHog has kept.
func (m *machine) nothingMadeUp() {
	m.Helper()
	kept := map[string]bool{}
	for _, c := range m.Posthog.Commits() {
		kept[c.UUID] = true
	}
	for _, message := range m.kept() {
		if message.State == outbox.Delivered && !kept[message.UUID] {
			m.Errorf("message %d counts as delivered, and PostHog does not have it", message.Seq)
		}
	}
}

// arrived checks that n events have arrived, each once, in order, and that nothing is left.
func (m *machine) arrived(n int) {
	m.Helper()
	if pending, dead := m.count(outbox.Pending), m.count(outbox.Dead); pending+dead != 0 {
		m.Errorf("%d messages are pending and %d dead, want none of either", pending, dead)
	}
	if got := len(m.Posthog.Events()); got != n {
		m.Errorf("%d events have arrived, want %d", got, n)
	}
	m.inOrder()
	if doubled := m.doubled(); len(doubled) > 0 {
		m.Errorf("PostHog shows twice: %v", doubled)
	}
	m.NoViolations()
}

func TestTortureNetworkEveryFault(t *testing.T) {
	t.Parallel()
	faults := outboxtest.AllFaults()
	if _, long := rounds(t, 0); !long { // a quarter of them; the outbox's own tests play them all
		rng := newRand(seed(t), 0)
		rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		faults = faults[:len(faults)/4]
	}
	requests := make([]int, len(faults))
	atOnce(len(faults), 12, func(i int) {
		fault := faults[i]
		t.Run(string(fault), func(t *testing.T) {
			m := offlineEvents(t, 3)
			final := fault.Mode() == "400" || fault.Mode() == "413"
			if final { // for ever would be a refusal for good
				m.Posthog.SetFaults(fault)
			} else {
				m.Posthog.SetFault(fault)
			}
			m.flusher()
			m.nothingMadeUp()
			if n := m.count(outbox.Pending); !final && (n != 3 || m.attempts() != 0) {
				t.Errorf("%d pending after %d attempts; want 3, and no attempt used up", n, m.attempts())
			}
			if n := len(m.Posthog.Requests()); !final && n > 2 {
				t.Errorf("the flusher sent %d requests into the fault, want one of each protocol at most", n)
			}
			m.Posthog.SetFaults()
			m.later().flusher()
			m.arrived(3)
			requests[i] = len(m.Posthog.Requests())
		})
	})
	total := 0
	for _, n := range requests {
		total += n
	}
	t.Logf("%d faults, %d requests, 0 acknowledged without a commit, 0 lost, 0 doubled (if this test has passed)", len(faults), total)
}

func (m *machine) attempts() (n int) {
	m.Helper()
	if _, err := fmt.Sscan(m.Query(`SELECT sum(attempts) FROM messages`), &n); err != nil {
		m.Fatal(err)
	}
	return n
}

func TestTortureNetworkAFlusherEndsWhateverHangs(t *testing.T) {
	t.Parallel() // it mostly waits
	tests := map[string]func(m *machine) (heal func()){
		"Cloud and PostHog": func(m *machine) func() {
			m.Cloud.Meet("ada")
			m.Cloud.Hang(true)
			m.WriteCredentials("arc_ada")
			m.with("ARCADE_USAGE_KEY=").Must("succeed")
			m.Posthog.SetFault(outboxtest.MustFault("hang"))
			return func() { m.Cloud.Hang(false); m.Posthog.SetFaults() }
		},
		"a slow PostHog before a long backlog": func(m *machine) func() {
			m.recordInBulk(28, 100_000) // four in a request
			m.Posthog.SetLatency(2 * time.Second)
			return func() { m.Posthog.SetLatency(0) }
		},
		"an answer that never comes before a long backlog": func(m *machine) func() {
			m.recordInBulk(28, 100_000)
			m.Posthog.SetFault(outboxtest.MustFault("commit+hang"))
			return func() { m.Posthog.SetFaults() }
		},
		"a database that another program writes to":       func(m *machine) func() { return m.holdTransaction("UPDATE delivery SET failures = failures") },
		"a process that has stopped with the write lock":  func(m *machine) func() { return m.stopAt("after-commit") },
		"a process that has stopped inside a transaction": func(m *machine) func() { return m.stopAt("before-commit") },
	}
	names := slices.Sorted(maps.Keys(tests))
	atOnce(len(names), len(names), func(i int) {
		t.Run(names[i], func(t *testing.T) {
			m := offlineEvents(t, 1)
			heal := tests[names[i]](m)
			m.flusher()
			m.nothingMadeUp()
			heal()
			m.later().Must("usage", "flush", "--timeout", "60s")
			m.arrived(len(m.kept()))
		})
	})
}

// stopAt stops a command there, which dies in the end.
func (m *machine) stopAt(point string) (kill func()) {
	offline := m.with("ARCADE_USAGE_KEY=")
	return offline.startStopped(point, offline.Command("succeed")).kill
}

func TestTortureNetworkARetryAfterIsKeptAcrossProcesses(t *testing.T) {
	t.Parallel() // it mostly waits
	tests := []struct {
		fault string
		least time.Duration // until the next request; 0: longer than a flusher waits
	}{
		{"429:retry-after=3", 3 * time.Second},
		{"commit+503:retry-after=4", 4 * time.Second},
		{"429:retry-after=31536000", 0},
	}
	atOnce(len(tests), len(tests), func(i int) {
		test := tests[i]
		t.Run(test.fault, func(t *testing.T) {
			m := offlineEvents(t, 2)
			m.Posthog.SetFaults(outboxtest.MustFault(test.fault))
			m.flusher()
			m.Must("succeed") // starts a flusher if that can wait so long
			m.AwaitNoFlusher()
			requests := m.Posthog.Requests()
			if test.least == 0 {
				m.heldForAnHour(len(requests))
				return
			}
			if len(requests) != 2 {
				t.Fatalf("%d requests, want a second one after the wait", len(requests))
			}
			if waited := requests[1].Begun.Sub(requests[0].Ended); waited < test.least {
				t.Errorf("the next process asked again after %s", waited)
			}
			m.arrived(3)
		})
	})
}

// heldForAnHour checks that nobody asks again before the longest wait is over: no process of the
// background, and no person either.
func (m *machine) heldForAnHour(before int) {
	m.Helper()
	soon := m.with(testbed.TestClock + "=59m")
	soon.Must("succeed")
	m.AwaitNoFlusher()
	if r := soon.Run("usage", "flush"); r.Code != 1 || !strings.Contains(r.Stderr, "asks to be left alone") {
		m.Errorf("a person's flush ended with %d: %s", r.Code, r.Stderr)
	}
	if n := len(m.Posthog.Requests()); before != 1 || n != 1 {
		m.Errorf("%d requests within the hour, want only the first", n)
	}
	m.with(testbed.TestClock + "=61m").flusher()
	m.arrived(4)
}

func TestTortureNetworkPoison(t *testing.T) {
	t.Parallel()
	sizes := []int{100}
	if _, long := rounds(t, 0); long {
		sizes = []int{2, 100, 500}
	}
	var runs []struct{ n, status, at int }
	for _, status := range []int{400, 413} {
		for _, n := range sizes {
			for _, at := range []int{n / 3, n - 1} {
				runs = append(runs, struct{ n, status, at int }{n, status, max(at, 1)})
			}
		}
	}
	for _, dying := range []bool{false, true} {
		requests := make([]int, len(runs))
		atOnce(len(runs), 4, func(i int) {
			run := runs[i]
			t.Run(fmt.Sprintf("%d of %d refused with %d, flushers die: %v", run.at, run.n, run.status, dying), func(t *testing.T) {
				m := newMachine(t)
				m.delivers(1) // who has accepted something may refuse
				m.recordInBulk(run.n, 0)
				bad := m.Query(`SELECT uuid FROM messages WHERE state = 'pending' ORDER BY seq LIMIT 1 OFFSET ?`, run.at)
				m.Posthog.SetResults(func(message outboxtest.Message) string {
					if message.UUID == bad {
						return map[int]string{400: "drop:rejected", 413: "drop:event_too_big"}[run.status]
					}
					return ""
				})
				if dying {
					m.flushWithOneProcessPerRequest()
				} else {
					m.flusher()
				}
				if pending, dead := m.count(outbox.Pending), m.count(outbox.Dead); pending != 0 || dead != 1 {
					t.Errorf("%d pending, %d dead; want the bad message dead and its neighbours gone", pending, dead)
				}
				if got := len(m.Posthog.Events()) - 1; got != run.n-1 {
					t.Errorf("%d neighbours have arrived, want %d", got, run.n-1)
				}
				requests[i] = len(m.Posthog.Requests()) - 1
				if limit := 2*bits.Len(uint(run.n-1)) + 2; requests[i] > limit {
					t.Errorf("%d requests, want at most 2*log2(n)+2 = %d", requests[i], limit)
				}
				m.NoViolations()
			})
		})
		t.Logf("%d poisoned queues, flushers dying after each request: %v; at most %d requests", len(runs), dying, slices.Max(requests))
	}
}

// flushWithOneProcessPerRequest lets each flusher die right after it has settled its first batch.
func (m *machine) flushWithOneProcessPerRequest() {
	m.Helper()
	for range 40 {
		if m.count(outbox.Pending) == 0 {
			return
		}
		m.with(testbed.TestKillAt + "=settled").flusher()
	}
}

// An outage of days: commands come and go, and each starts a flusher if it is time.
func TestTortureNetworkAnOutageOfDays(t *testing.T) {
	n, faults := 12, []string{"503", "portal"}
	if _, long := rounds(t, 0); long {
		n, faults = 100, []string{"503", "reset-after-body", "portal", "401", "commit+close"}
	}
	from := seed(t)
	atOnce(len(faults), len(faults), func(i int) {
		t.Run(faults[i], func(t *testing.T) {
			rng := newRand(from, uint64(i))
			m := newMachine(t)
			m.Posthog.SetFault(outboxtest.MustFault(faults[i]))
			var clock time.Duration
			for range n {
				// Longer than a flusher waits, so that the test need not wait either.
				clock += 20*time.Second + time.Duration(rng.ExpFloat64()*float64(15*time.Minute))
				m.commandInTheOutage(clock)
			}
			requests := len(m.Posthog.Requests())
			if m.attempts() != 0 {
				t.Errorf("%d attempts used up by an outage", m.attempts())
			}
			m.Posthog.SetFaults()
			m.with(fmt.Sprintf("%s=%s", testbed.TestClock, clock+2*time.Hour)).flusher()
			m.arrived(n)
			t.Logf("%d commands in %s, %d requests, 0 attempts", n, clock.Round(time.Minute), requests)
		})
	})
}

// commandInTheOutage runs a command and checks that it led to one request if the wait that the
// last one left was over, and to none if it was not.
func (m *machine) commandInTheOutage(clock time.Duration) {
	m.Helper()
	before := m.deliveries()
	var wait time.Duration
	if before > 0 {
		wait = m.notBefore().Sub(time.Now().Add(clock))
	}
	m.with(fmt.Sprintf("%s=%s", testbed.TestClock, clock)).Must("succeed")
	m.AwaitNoFlusher()
	made := m.deliveries() - before
	switch {
	case wait > 8*time.Second+time.Second && made != 0:
		m.Errorf("%d requests while the back-off had %s to go", made, wait)
	case wait < 0 && made != 1:
		m.Errorf("%d requests %s after the back-off was over, want one", made, -wait)
	case made > 1:
		m.Errorf("%d requests in one interval", made)
	}
}

// deliveries is how often a flusher has asked: what does not know capture v1 is asked twice at once.
func (m *machine) deliveries() (n int) {
	for _, r := range m.Posthog.Requests() {
		if strings.HasPrefix(r.Path, "/i/v1/") {
			n++
		}
	}
	return n
}

func (m *machine) notBefore() time.Time {
	m.Helper()
	var ms int64
	if _, err := fmt.Sscan(m.Query(`SELECT not_before FROM delivery`), &ms); err != nil {
		m.Fatal(err)
	}
	return time.UnixMilli(ms)
}
