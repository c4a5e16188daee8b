//go:build unix

package fire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

const (
	tortureRounds = "ARCADE_TORTURE_ROUNDS" // how often processes are killed; set: the long form
	tortureSeed   = "ARCADE_TORTURE_SEED"
)

// number reads a variable, 0 if it is not set.
func number(t *testing.T, name string) int {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: want a number", name, value)
	}
	return n
}

// size returns how large a test is, in its short or in its long form.
func size(t *testing.T, short, long int) int {
	t.Helper()
	if number(t, tortureRounds) > 0 {
		return long
	}
	return short
}

// seed returns what all randomness of a test comes from. The timing of processes does not, so
// the same seed makes the same plan, not quite the same run.
func seed(t *testing.T) uint64 {
	t.Helper()
	chosen := uint64(number(t, tortureSeed))
	if chosen == 0 {
		chosen = uint64(time.Now().UnixNano() % 1_000_000)
	}
	t.Logf("seed %d", chosen)
	return chosen
}

func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// machine is the testbed's, with what this room asks of it.
type machine struct{ *testbed.Machine }

func newMachine(t testing.TB) *machine { return &machine{testbed.NewMachine(t)} }

// with returns the same machine with more in the environment of its commands.
func (m *machine) with(env ...string) *machine { return &machine{m.Machine.With(env...)} }

// unsent returns the machine without a key for PostHog: its commands record, and leave no flusher
// behind that the test would have to wait for.
func (m *machine) unsent() *machine { return m.with("ARCADE_USAGE_KEY=") }

var (
	succeeding = []string{"succeed"}
	failing    = []string{"fail", "x"}
	flushing   = []string{"usage", "flush", "--timeout", "5m"}
)

// traced returns the machine with processes that leave a trace.
func (m *machine) traced() *machine { return m.with(testbed.TestTrace + "=" + m.tracePath()) }

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
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
		pid, err := strconv.Atoi(fields[0])
		if len(fields) != 3 || err != nil {
			m.Fatalf("a line of the trace is %q", line)
		}
		lines = append(lines, traceLine{pid, fields[1], fields[2]})
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

// stopped is a process that stands still at a point of its own.
type stopped struct {
	*machine
	cmd  *exec.Cmd
	hold *flock.Flock // it goes on when this is given up
	said bytes.Buffer // on stderr; read it after resume
}

// startStopped starts a process that stands still at the point, and waits until it does.
func (m *machine) startStopped(point string, prepare func(m *machine) *exec.Cmd) *stopped {
	m.Helper()
	hold := flock.New(filepath.Join(m.TempDir(), "hold"))
	m.Require(hold.Lock())
	stopping := m.traced().with(testbed.TestStopAt+"="+point, testbed.TestStopUntil+"="+hold.Path(), "ARCADE_USAGE_DEBUG=1")
	s := &stopped{machine: m, cmd: prepare(stopping), hold: hold}
	s.cmd.Stderr = &s.said
	m.Require(s.cmd.Start())
	m.Cleanup(s.kill)
	m.Eventually(fmt.Sprintf("%v stops at %s", s.cmd.Args, point), func() bool {
		return slices.ContainsFunc(m.trace(), func(l traceLine) bool {
			return l.pid == s.cmd.Process.Pid && l.what == "stopped at "+point
		})
	})
	m.Require(s.cmd.Process.Signal(syscall.SIGSTOP)) // or its own limits of time would end it
	return s
}

// succeed prepares the command that does nothing but being recorded.
func succeed(m *machine) *exec.Cmd { return m.unsent().Command("succeed") }

// resume lets the process go on, to its end; its exit code is no matter here.
func (s *stopped) resume() {
	s.Helper()
	s.Require(s.cmd.Process.Signal(syscall.SIGCONT))
	s.Require(s.hold.Unlock())
	s.cmd.Wait()
}

// kill also ends a process that goes on no more; it may have ended long ago.
func (s *stopped) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.hold.Unlock()
}

// logsIn is a login that needs no browser and no port.
func (m *machine) logsIn(person string) testbed.Result {
	m.Helper()
	m.Meet(person)
	return m.RunWith("arc_"+person+"\n", append([]string{"login", "--with-key"}, testbed.At(m.Cloud.URL)...)...)
}

// kept is a message as it lies in the outbox.
type kept struct {
	Seq   int64
	UUID  string
	State outbox.State
}

// kept reads the outbox itself: a process for each look would cost more than what it looks at.
func (m *machine) kept() (list []kept) {
	m.Helper()
	const statement = `SELECT json_group_array(json_object('Seq', seq, 'UUID', uuid, 'State', state) ORDER BY seq) FROM messages`
	m.Require(json.Unmarshal([]byte(m.Query(statement)), &list))
	return list
}

// count counts the messages in one state.
func (m *machine) count(state outbox.State) int {
	m.Helper()
	n, err := strconv.Atoi(m.Query(`SELECT count(*) FROM messages WHERE state = ?`, state))
	m.Require(err)
	return n
}

func (m *machine) anonID() string {
	m.Helper()
	return m.Query(`SELECT anon_id FROM identities WHERE retired_at IS NULL`)
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

// arrives delivers everything, past every back-off, and wants n events at least.
func (m *machine) arrives(n int) {
	m.Helper()
	m.with("ARCADE_USAGE_KEY=phc_test", testbed.TestClock+"=2h").delivered(n)
}

// delivered delivers everything, and wants n events at least, each of them once.
func (m *machine) delivered(n int) {
	m.Helper()
	m.Must(flushing...)
	times := map[string]int{}
	for _, e := range m.Posthog.Events() {
		if times[e.UUID]++; times[e.UUID] == 2 {
			m.Errorf("PostHog shows %v twice", e)
		}
	}
	if pending := m.count(outbox.Pending); len(times) < n || pending > 0 {
		m.Errorf("PostHog has %d events and %d messages wait, want %d at least and none", len(times), pending, n)
	}
	m.NoViolations()
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
		AnonID:      m.anonID(),
		PrincipalID: m.Query(`SELECT coalesce(principal_id, '') FROM identities WHERE retired_at IS NULL`),
	}
	if got := m.ReadFile("usage.json"); got != string(want.Encode()) {
		m.Errorf("usage.json is\n%s\nwant what the database says\n%s", got, want.Encode())
	}
}

// stays checks that this machine is who it was before. Damage that no statement has met may still be in its database.
func (m *machine) stays(anonID string) {
	m.Helper()
	m.mirrorAgrees()
	if got := m.anonID(); got != anonID {
		m.Errorf("the anon id was %s and is %s: this machine has become somebody else", anonID, got)
	}
}

// unnoticed runs commands with tracking on, then off, and wants no difference but the notice.
func (m *machine) unnoticed(commands ...[]string) {
	m.Helper()
	for _, args := range commands {
		m.same(args, m.Run(args...), m.with("ARCADE_USAGE_TRACKING=0").Run(args...))
	}
}

func (m *machine) same(args []string, on, off testbed.Result) {
	m.Helper()
	on.Stderr = strings.TrimSuffix(on.Stderr, m.Notice())
	if on.Stdout != off.Stdout || on.Stderr != off.Stderr || on.Code != off.Code {
		m.Errorf("arcade %v with tracking: %+v\nwithout: %+v\nwant the same: a broken disk costs events, not commands", args, on, off)
	}
}
