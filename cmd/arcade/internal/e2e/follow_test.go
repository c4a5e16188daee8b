package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// follower is a process that follows the queue into a file.
type follower struct {
	*exec.Cmd
	output *os.File
}

func (m *machine) follower(args ...string) follower {
	m.Helper()
	output := m.opened(filepath.Join(m.TempDir(), "output"), os.O_RDWR|os.O_CREATE)
	f := follower{interruptible(m, m.Command(append([]string{"usage", "inspect", "--follow"}, args...)...)), output}
	f.Stdout = output
	m.Require(f.Start())
	m.Cleanup(func() { f.Process.Kill() })
	return f
}

// shown is a number and a state for each line.
func (f follower) shown(t *testing.T) (lines []string) {
	t.Helper()
	content, err := os.ReadFile(f.output.Name())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		columns := strings.Split(line, "\t")
		lines = append(lines, columns[0]+" "+columns[2])
	}
	return lines
}

// Three messages are delivered before, two are recorded and delivered meanwhile. A line appears once, also when nothing
// waits any more and the queue is looked at again and again.
func TestFollowShowsRecordingAndDeliveryAsTheyHappen(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for range 3 {
		m.Must("succeed")
	}
	m.Must("usage", "flush")
	wanted := map[string][]string{
		"":                            {"1 delivered", "2 delivered", "3 delivered", "4 pending", "4 delivered", "5 pending", "5 delivered"},
		"--limit=2":                   {"2 delivered", "3 delivered", "4 pending", "4 delivered", "5 pending", "5 delivered"},
		"--state=delivered --limit=1": {"3 delivered", "4 delivered", "5 delivered"},
		"--state=pending --limit=1":   {"4 pending", "5 pending"},
	}
	followers := map[string]follower{}
	for args := range wanted {
		followers[args] = m.follower(strings.Fields(args)...)
	}
	await := func(last string) {
		t.Helper()
		for args, want := range wanted {
			n := slices.Index(want, last) + 1 // 0: this one does not show it
			m.Eventually(fmt.Sprintf("following %s shows %q", args, want[:n]), func() bool { return len(followers[args].shown(t)) >= n })
		}
	}
	await("3 delivered")
	for _, seq := range []string{"4", "5"} {
		m.offlineEvent()
		await(seq + " pending")
		m.Online()
		m.Must("usage", "flush")
		await(seq + " delivered")
	}
	for range 20 { // meanwhile they look at the queue again
		m.Must("usage", "inspect")
	}
	for args, want := range wanted {
		f := followers[args]
		if got := f.shown(t); !slices.Equal(got, want) {
			t.Errorf("following %s shows %q, want each change once: %q", args, got, want)
		}
		m.Require(interrupt(f.Process))
		f.Wait()
		if code := f.ProcessState.ExitCode(); code != 130 {
			t.Errorf("after Ctrl-C following %s ends with %d, want 130", args, code)
		}
	}
}
