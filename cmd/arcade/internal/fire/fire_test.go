//go:build unix

package fire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// The torture tests prove the promises under fire: real processes, a real disk, the real
// posthog-go, the fake PostHog. `make torture` runs the long form; the short form is part of
// every test run. A seed is printed and can be given again.
const (
	tortureRounds = "ARCADE_TORTURE_ROUNDS" // how often processes are killed; set: the long form
	tortureSeed   = "ARCADE_TORTURE_SEED"
)

// rounds returns how long to go on, and whether this is the long form.
func rounds(t *testing.T, short int) (n int, long bool) {
	t.Helper()
	value := os.Getenv(tortureRounds)
	if value == "" {
		return short, false
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: want the number of rounds", tortureRounds, value)
	}
	return n, true
}

// size returns how large a test is, in its short or in its long form.
func size(t *testing.T, short, long int) int {
	t.Helper()
	if _, isLong := rounds(t, 0); isLong {
		return long
	}
	return short
}

// seed returns what all randomness of a test comes from. The timing of processes does not, so
// the same seed makes the same plan, not quite the same run.
func seed(t *testing.T) uint64 {
	t.Helper()
	chosen := uint64(time.Now().UnixNano() % 1_000_000)
	if value := os.Getenv(tortureSeed); value != "" {
		var err error
		if chosen, err = strconv.ParseUint(value, 10, 64); err != nil {
			t.Fatalf("%s=%s: want a number", tortureSeed, value)
		}
	}
	t.Logf("seed %d", chosen)
	return chosen
}

func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// traced makes the machine's processes leave a trace.
func (m *machine) traced() *machine {
	m.Env = append(m.Env, testbed.TestTrace+"="+m.tracePath())
	return m
}

func (m *machine) tracePath() string { return m.Home + "/trace" }

// traceLine is one line that a process has left, see points.trace.
type traceLine struct {
	pid  int
	role string // command, flusher
	what string
}

func (m *machine) trace() (lines []traceLine) {
	m.Helper()
	content, err := os.ReadFile(m.tracePath())
	if err != nil && !os.IsNotExist(err) {
		m.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) != 4 {
			m.Fatalf("a line of the trace is %q", line)
		}
		pid, pidErr := strconv.Atoi(fields[0])
		if pidErr != nil {
			m.Fatalf("a line of the trace is %q", line)
		}
		lines = append(lines, traceLine{pid, fields[1], fields[3]})
	}
	return lines
}

// neverTwoFlushers looks for a flusher that worked while another one held the flusher's lock.
// A flusher that is killed leaves no line when it ends, so its successor tells when that was.
func (m *machine) neverTwoFlushers() {
	m.Helper()
	locked := []string{"claimed", "before-request", "after-request", "answered", "settled", "housekeeping", "before-shrink", "flushed"}
	holder := 0
	for _, line := range m.trace() {
		switch {
		case line.what == "flushing":
			holder = line.pid
		case line.role == "flusher" && line.pid != holder && slices.Contains(locked, line.what):
			m.Errorf("flusher %d was at %q while flusher %d was at work", line.pid, line.what, holder)
		}
	}
}

// stopped is a process that has stopped at a point of its own.
type stopped struct {
	*machine
	cmd  *exec.Cmd
	said bytes.Buffer // on stderr; read it after resume
}

// startStopped starts a command that stops itself at the point, and waits until it has.
func (m *machine) startStopped(point string, cmd *exec.Cmd) *stopped {
	m.Helper()
	cmd.Env = append(cmd.Env, testbed.TestStopAt+"="+point, testbed.ForChild(testbed.TestStopAt)+"=",
		testbed.TestTrace+"="+m.tracePath(), "ARCADE_USAGE_DEBUG=1")
	return m.startStopping(point, cmd)
}

// startStopping does the same with a process that has been told where to stop.
func (m *machine) startStopping(point string, cmd *exec.Cmd) *stopped {
	m.Helper()
	s := &stopped{machine: m, cmd: cmd}
	cmd.Stderr = &s.said
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(s.kill)
	m.Eventually(fmt.Sprintf("%v stops at %s", cmd.Args, point), func() bool {
		return slices.ContainsFunc(m.trace(), func(l traceLine) bool {
			return l.pid == cmd.Process.Pid && l.what == "stopped at "+point
		})
	})
	return s
}

// resume lets the process go on, to its end. It says that it has stopped a moment before it does, so one signal
// may come too early and be lost.
func (s *stopped) resume() {
	s.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.cmd.Wait() // its exit code is no matter here
	}()
	for again := time.NewTicker(10 * time.Millisecond); ; {
		_ = s.cmd.Process.Signal(syscall.SIGCONT) // an error means that it has ended
		select {
		case <-ended:
			again.Stop()
			return
		case <-again.C:
		}
	}
}

func (s *stopped) kill() {
	s.cmd.Process.Kill() // it may have ended long ago
	s.cmd.Wait()
}

// loginArgs is a login that needs no browser and no port; the key goes to its standard input.
func (m *machine) loginArgs() []string {
	return []string{"login", "--with-key", "--host", "localhost", "--port", testbed.PortOf(m.Cloud.URL)}
}

// kept is a message as it lies in the outbox.
type kept struct {
	Seq   int64
	UUID  string
	Kind  outbox.Kind
	State outbox.State
}

// kept reads the outbox itself: a process for each look would cost more than what it looks at.
func (m *machine) kept() (list []kept) {
	m.Helper()
	const statement = `SELECT json_group_array(json_object('Seq', seq, 'UUID', uuid, 'Kind', kind, 'State', state)) FROM messages`
	if err := json.Unmarshal([]byte(m.Query(statement)), &list); err != nil {
		m.Fatal(err)
	}
	slices.SortFunc(list, func(a, b kept) int { return int(a.Seq - b.Seq) })
	return list
}

func (m *machine) pending() int { return m.count(outbox.Pending) }

// count counts the messages in one state.
func (m *machine) count(state outbox.State) (n int) {
	m.Helper()
	for _, message := range m.kept() {
		if message.State == state {
			n++
		}
	}
	return n
}

// shown returns the uuids that PostHog shows.
func (m *machine) shown() map[string]bool {
	uuids := map[string]bool{}
	for _, e := range m.Posthog.Events() {
		uuids[e.UUID] = true
	}
	return uuids
}

// awaitRequest waits until a flusher's request is held.
func (m *machine) awaitRequest(pause *outboxtest.Pause) {
	m.Helper()
	select {
	case <-pause.Reached():
	case <-time.After(time.Minute):
		m.Fatal("no flusher has come to PostHog")
	}
}

// doubled returns what PostHog shows more than once after it has folded repeats.
func (m *machine) doubled() (uuids []string) {
	times := map[string]int{}
	for _, e := range m.Posthog.Events() {
		if times[e.UUID]++; times[e.UUID] == 2 {
			uuids = append(uuids, e.UUID)
		}
	}
	return uuids
}

// inOrder checks that events arrived in the order in which they were recorded. An alias may
// have waited for its principal; that it came before its principal's events is PostHog's to say.
func (m *machine) inOrder() {
	m.Helper()
	place := map[string]int64{}
	for _, message := range m.kept() {
		place[message.UUID] = message.Seq
	}
	var last int64
	for _, e := range m.Posthog.Events() {
		if e.IsAlias() {
			continue
		}
		seq, known := place[e.UUID]
		if !known {
			m.Errorf("PostHog has %v, of which the outbox knows nothing", e)
		} else if seq < last {
			m.Errorf("message %d arrived after message %d", seq, last)
		}
		last = max(last, seq)
	}
}

// sound checks that the database is whole and that usage.json agrees with it.
func (m *machine) sound() {
	m.Helper()
	if got := m.Query(`PRAGMA integrity_check`); got != "ok" {
		m.Errorf("integrity_check says %s", got)
	}
	m.mirrorAgrees()
}

// mirrorAgrees checks that usage.json is what the database says, byte by byte.
func (m *machine) mirrorAgrees() {
	m.Helper()
	want := identity.Mirror{
		AnonID:      m.Query(`SELECT anon_id FROM identities WHERE retired_at IS NULL`),
		PrincipalID: m.Query(`SELECT coalesce(principal_id, '') FROM identities WHERE retired_at IS NULL`),
	}
	if got := m.ReadFile("usage.json"); got != string(want.Encode()) {
		m.Errorf("usage.json is\n%s\nwant what the database says\n%s", got, want.Encode())
	}
}
