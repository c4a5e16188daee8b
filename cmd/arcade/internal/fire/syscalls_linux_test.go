package fire

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What recording costs is counted here in system calls, which no busy machine changes. Times
// are `make bench-process`.

func TestARecordedCommandSyncsOnceAndOpensNoSocket(t *testing.T) {
	t.Parallel()
	withoutFlusher := "ARCADE_USAGE_KEY="
	tests := map[string]func(m *machine){
		"on a database that others have just used": func(m *machine) {
			m.Env = append(m.Env, withoutFlusher)
			m.Must("succeed")
			m.Must("succeed")
		},
		"after a flusher has delivered and truncated the WAL": func(m *machine) {
			m.Must("succeed")
			m.AwaitEvents(1)
			m.AwaitNoFlusher()
			m.Env = append(m.Env, withoutFlusher)
		},
		"after a flusher has found nobody": func(m *machine) {
			m.Offline()
			m.Must("succeed")
			m.AwaitNoFlusher()
			m.Env = append(m.Env, withoutFlusher)
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			prepare(m)
			calls := m.strace("succeed")
			if n := calls.count("fsync|fdatasync|sync|syncfs|msync|sync_file_range"); n != 1 {
				t.Errorf("%d disk syncs, want exactly one:\n%s", n, strings.Join(calls.recording(), "\n"))
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
		m.Env = append(m.Env, "ARCADE_USAGE_KEY=")
		m.Must("succeed")
		m.recordInBulk(backlog, 300)
		m.Must("succeed")
		recording[backlog] = m.strace("succeed").count(read)

		m.Env = append(m.Env, "ARCADE_USAGE_KEY=phc_test")
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
	return m.straceOf(m.Command(args...))
}

func (m *machine) straceOf(cmd *exec.Cmd) systemCalls {
	m.Helper()
	log := filepath.Join(m.TempDir(), "strace")
	underStrace(m, cmd, log, "-e", "trace=%file,%desc,%network,%process")
	if r := m.Finish(cmd); r.Code != 0 {
		m.Fatalf("%v: exit code %d\n%s", cmd.Args, r.Code, r.Stderr)
	}
	content, err := os.ReadFile(log)
	if err != nil {
		m.Fatal(err)
	}
	calls := systemCalls{home: m.Path("")}
	for _, line := range strings.Split(string(bytes.TrimSpace(content)), "\n") {
		if !strings.Contains(line, " resumed>") { // the other half of a call that is there already
			calls.lines = append(calls.lines, line)
		}
	}
	return calls
}

// underStrace makes a command, and whatever it starts, run under strace.
func underStrace(t testing.TB, cmd *exec.Cmd, log string, options ...string) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil || exec.Command(strace, "-o", os.DevNull, "true").Run() != nil {
		t.Skip("strace is not installed, or may not trace here")
	}
	cmd.Args = slices.Concat([]string{strace, "-f", "-o", log}, options, []string{cmd.Path}, cmd.Args[1:])
	cmd.Path = strace
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
