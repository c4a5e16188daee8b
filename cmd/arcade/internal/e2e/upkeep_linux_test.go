package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A whole queue in memory would be seen: the messages alone have more than is allowed.
func TestALongQueueTakesNoMoreMemoryThanAShortOne(t *testing.T) {
	t.Parallel()
	const messages, most = 10_000, 4 // MB; the messages have 5
	m := unflushed(t).with("GODEBUG=gctrace=1", "GOGC=50")
	m.Must("succeed")
	m.Multiply(messages-1, 0)
	limited := func(what, trace string) {
		t.Helper()
		if took := live(trace); took > most || took < 0 { // -1: no garbage collection is told of
			t.Errorf("%s takes %d MB for %d messages, want %d at most", what, took, messages, most)
		}
	}
	for _, line := range []string{"usage inspect --limit 0 --json", "usage inspect --limit 0", "usage export"} {
		r := m.Must(strings.Fields(line)...)
		limited("arcade "+line, r.Stderr)
		if n := strings.Count(r.Stdout, "01a21308-b607-73e6-98c2-"); n != messages-1 {
			t.Errorf("arcade %s shows %d messages, want all %d", line, n, messages-1)
		}
	}
	limited("the report", m.Must("usage", "report", "--output", filepath.Join(t.TempDir(), "page")).Stderr)
	limited("a list on a terminal", m.shown(120, "", "usage", "inspect", "--limit", "0"))
	following := m.onTerminal(120, "", "usage", "inspect", "--limit", "0", "--follow")
	following.Await(fmt.Sprintf(" %d  ", messages))
	following.Typed("\x03")
	_, output := following.End()
	limited("following", output)
}

// live finds the most in use after a garbage collection in the lines that the runtime writes of them, "4->5->2 MB"; -1: there
// are none. What the system gives a process depends on when they come, which is the machine's to say.
func live(trace string) (most int) {
	most = -1
	for _, found := range regexp.MustCompile(`->(\d+) MB`).FindAllStringSubmatch(trace, -1) {
		n, _ := strconv.Atoi(found[1])
		most = max(most, n)
	}
	return most
}

// An error of the database is met twice before it is believed; what was printed by then is not printed again.
func TestWhatCanBeReadOfADamagedDatabaseIsPrintedOnce(t *testing.T) {
	t.Parallel()
	m := unflushed(t)
	m.Must("succeed")
	m.Multiply(300, 8000) // most pages are the end of a message
	content := []byte(m.ReadFile("usage.db"))
	copy(content[len(content)/2:], strings.Repeat("\xab", 8192))
	m.writeFile("usage.db", string(content))
	for _, line := range []string{"usage inspect --limit 0", "usage inspect --limit 0 --json", "usage export"} {
		r := m.Run(strings.Fields(line)...)
		if head := r.Stdout[:min(len(r.Stdout), 50)]; r.Code != 1 || strings.Count(r.Stdout, head) > 1 && head != "" {
			t.Errorf("arcade %s ends with %d and prints %q %d times", line, r.Code, head, strings.Count(r.Stdout, head))
		}
	}
}

// Ctrl-C ends a command, whatever it waits for.
func TestCtrlCEndsEveryWaitAtOnce(t *testing.T) {
	t.Parallel()
	const writers, flushers = "usage.db.lock", "usage.db.flusher.lock"
	for line, locks := range map[string][]string{
		"usage flush": {flushers, writers}, "usage disable": {flushers, writers},
		"usage clear --yes": {writers}, "usage forget --yes": {flushers}, "usage retry": {writers},
	} {
		for _, name := range locks {
			t.Run(line+" waits for "+name, func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				m.offlineEvent()
				m.lock(name)
				cmd := m.Command(strings.Fields(line)...)
				m.Require(cmd.Start())
				defer cmd.Process.Kill()
				m.Eventually("it waits for the lock", func() bool { return waitsForLock(cmd.Process.Pid) })
				cmd.Process.Signal(os.Interrupt)
				cmd.Wait()
				if code := cmd.ProcessState.ExitCode(); code != 130 { // what waits to the end goes on without the lock, or fails
					t.Errorf("it ends with %d, want 130", code)
				}
			})
		}
	}
}

// lock takes one of the outbox's locks until the test ends, where the kernel shows who waits for it.
func (m *machine) lock(name string) {
	m.Helper()
	if _, err := os.ReadFile("/proc/locks"); err != nil {
		m.Skip(err)
	}
	file := m.opened(m.Path(name), os.O_RDWR|os.O_CREATE)
	m.Require(syscall.Flock(int(file.Fd()), syscall.LOCK_EX))
}

// waitsForLock looks for a process among those that the kernel keeps waiting.
func waitsForLock(pid int) bool {
	locks, _ := os.ReadFile("/proc/locks")
	for line := range strings.Lines(string(locks)) {
		if strings.Contains(line, "->") && slices.Contains(strings.Fields(line), strconv.Itoa(pid)) {
			return true
		}
	}
	return false
}
