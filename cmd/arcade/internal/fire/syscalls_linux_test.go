package fire

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// What recording costs is counted here in system calls, which no busy machine changes. Times
// are `make bench-process`.

func TestARecordedCommandSyncsOnceAndOpensNoSocket(t *testing.T) {
	t.Parallel()
	const newHome = "in a new home, which makes the names of its files durable, too"
	for name, prepare := range map[string]func(m *machine){
		newHome: func(*machine) {},
		"on a database that others have just used": func(m *machine) {
			m.unsent().Must("succeed")
			m.unsent().Must("succeed")
		},
		"after a flusher has delivered and truncated the WAL": func(m *machine) {
			m.Must("succeed")
			m.AwaitEvents(1)
		},
		"after a flusher has found nobody": func(m *machine) {
			m.Offline()
			m.Must("succeed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			prepare(m)
			m.AwaitNoFlusher()
			want := 1
			if name == newHome {
				want = 4
			}
			calls := m.with(testbed.Flusher).strace(succeeding...) // with a key, and without a flusher, which connects
			if n := calls.count("fsync|fdatasync|sync|syncfs|msync|sync_file_range"); n != want {
				t.Errorf("%d disk syncs, want %d:\n%s", n, want, strings.Join(calls.recording(), "\n"))
			}
			if n := calls.count("socket|socketpair|connect"); n != 0 {
				t.Errorf("%d sockets, want none: a command never waits for the network", n)
			}
			t.Logf("recording takes %d system calls on files", len(calls.recording()))
		})
	}
}

func TestALongQueueIsReadNoMoreThanAShortOne(t *testing.T) {
	t.Parallel()
	const read = "pread64|read"
	recording := map[int]int{}
	for _, backlog := range []int{500, 4_000} {
		m := newMachine(t)
		m.unsent().Must("succeed")
		m.Multiply(backlog, 300)
		m.unsent().Must("succeed")
		recording[backlog] = m.unsent().strace(succeeding...).count(read)
		delivering := m.strace(flushing...).count(read)
		t.Logf("%d messages: %d reads to record one more, %d to deliver all", backlog, recording[backlog], delivering)
		// A page holds several messages, and each is read to be taken and to be settled.
		if delivering > backlog {
			t.Errorf("delivering %d messages reads %d times, want fewer: something goes through the queue again and again", backlog, delivering)
		}
	}
	if short, long := recording[500], recording[4_000]; long > short+8 { // a level of each tree more
		t.Errorf("recording reads %d times behind 4,000 messages and %d times behind 500, want it flat", long, short)
	}
}

// systemCalls is what strace saw, a line each.
type systemCalls struct {
	lines []string
	home  string
}

// strace runs a command and whatever it starts under strace.
func (m *machine) strace(args ...string) systemCalls {
	m.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil || exec.Command(strace, "-o", os.DevNull, "true").Run() != nil {
		m.Skip("strace is not installed, or may not trace here")
	}
	log := filepath.Join(m.TempDir(), "strace")
	cmd := m.Command(args...)
	cmd.Args = slices.Concat([]string{strace, "-f", "-o", log, "-e", "trace=%file,%desc,%network,%process", cmd.Path}, args)
	cmd.Path = strace
	if r := m.Finish(cmd); r.Code != 0 {
		m.Fatalf("%v: exit code %d\n%s", cmd.Args, r.Code, r.Stderr)
	}
	content, err := os.ReadFile(log)
	m.Require(err)
	calls := systemCalls{home: m.Path("")}
	for line := range strings.Lines(string(content)) {
		if !strings.Contains(line, " resumed>") { // the other half of a call that is there already
			calls.lines = append(calls.lines, strings.TrimSpace(line))
		}
	}
	return calls
}

// count returns how many calls there are with one of the names, which are separated by bars.
func (c systemCalls) count(names string) (n int) {
	call := regexp.MustCompile(`^\d+ +(` + names + `)\(`)
	for _, line := range c.lines {
		if call.MatchString(line) {
			n++
		}
	}
	return n
}

// recording returns the calls from the first one that touches Arcade's directory.
func (c systemCalls) recording() []string {
	for i, line := range c.lines {
		if strings.Contains(line, c.home) {
			return c.lines[i:]
		}
	}
	return nil
}
