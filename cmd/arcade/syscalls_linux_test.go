package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// What recording costs is counted here in system calls, which no busy machine changes. Times
// are `make bench-process`.

func TestARecordedCommandSyncsOnceAndOpensNoSocket(t *testing.T) {
	withoutFlusher := "ARCADE_USAGE_KEY="
	tests := map[string]func(m *machine){
		"on a database that others have just used": func(m *machine) {
			m.env = append(m.env, withoutFlusher)
			m.must("succeed")
			m.must("succeed")
		},
		"after a flusher has delivered and truncated the WAL": func(m *machine) {
			m.must("succeed")
			m.awaitEvents(1, 15*time.Second)
			m.awaitNoFlusher()
			m.env = append(m.env, withoutFlusher)
		},
		"after a flusher has found nobody": func(m *machine) {
			m.offline()
			m.must("succeed")
			m.awaitNoFlusher()
			m.env = append(m.env, withoutFlusher)
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

func TestACommandThatIsNotTrackedTouchesNoFile(t *testing.T) {
	for _, off := range []string{"ARCADE_USAGE_TRACKING=0", "DO_NOT_TRACK=1"} {
		t.Run(off, func(t *testing.T) {
			m := newMachine(t)
			m.must("succeed")
			m.awaitNoFlusher()
			m.env = append(m.env, off)
			calls := m.strace("succeed")
			if n := calls.count("fsync|fdatasync|socket|execve"); n != 1 { // its own execve
				t.Errorf("%d syncs, sockets and programs, want nothing but the command itself", n)
			}
			if touched := calls.recording(); len(touched) > 0 {
				t.Errorf("it touches its home: %s", touched[0])
			}
		})
	}
}

func TestALongQueueIsReadNoMoreThanAShortOne(t *testing.T) {
	const read = "pread64|read"
	recording := map[int]int{}
	for _, backlog := range []int{500, 4_000} {
		m := newMachine(t)
		m.env = append(m.env, "ARCADE_USAGE_KEY=")
		m.must("succeed")
		m.fill(backlog)
		m.must("succeed")
		recording[backlog] = m.strace("succeed").count(read)

		m.posthogAt = lenientPostHog(t)
		m.env = append(m.env, "ARCADE_USAGE_KEY=phc_test")
		delivering := m.strace("usage", "flush", "--timeout", "60s").count(read)
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

// lenientPostHog acknowledges everything at once: how long outboxtest looks at it is not the
// question here. It returns its address.
func lenientPostHog(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"status":"Ok"}`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// fill adds pending messages.
func (m *machine) fill(messages int) {
	m.Helper()
	box := outbox.New(outbox.Config{Path: m.path("usage.db"), Now: time.Now})
	defer box.Close()
	err := box.InTx(context.Background(), func(tx *sql.Tx) error {
		for range messages {
			err := outbox.AddTx(context.Background(), tx, outbox.Message{
				UUID: uuid.Must(uuid.NewV7()).String(), Kind: outbox.Capture, Event: "filled",
				AnonID: "filled", DistinctID: "filled", RecordedAt: time.Now(),
				Properties: fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", 300)),
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

// systemCalls is what strace saw, a line each.
type systemCalls struct {
	lines []string
	home  string
}

// strace runs a command and whatever it starts under strace.
func (m *machine) strace(args ...string) systemCalls {
	m.Helper()
	if exec.Command("strace", "-o", os.DevNull, "true").Run() != nil {
		m.Skip("system calls cannot be counted: strace is not installed, or may not trace here")
	}
	log := filepath.Join(m.TempDir(), "strace")
	cmd := m.command(args...)
	traced := exec.Command("strace", append([]string{
		"-f", "-e", "trace=%file,%desc,%network,%process", "-o", log, cmd.Path}, args...)...)
	traced.Dir, traced.Env = cmd.Dir, cmd.Env
	if r := m.finish(traced); r.code != 0 {
		m.Fatalf("%v under strace: exit code %d\n%s", args, r.code, r.stderr)
	}
	content, err := os.ReadFile(log)
	if err != nil {
		m.Fatal(err)
	}
	calls := systemCalls{home: m.path("")}
	for _, line := range strings.Split(string(bytes.TrimSpace(content)), "\n") {
		if !strings.Contains(line, " resumed>") { // the other half of a call that is there already
			calls.lines = append(calls.lines, line)
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
