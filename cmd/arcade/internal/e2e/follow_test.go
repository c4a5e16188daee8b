package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Three messages are delivered before, two are recorded and delivered meanwhile. A line appears once, also when nothing
// waits any more and the queue is looked at again and again, and more are recorded between two looks than a list shows.
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
	outputs := map[string]*os.File{}
	for args := range wanted {
		cmd := m.Command(append([]string{"usage", "inspect", "--follow"}, strings.Fields(args)...)...)
		outputs[args] = m.opened(filepath.Join(m.TempDir(), "output"), os.O_RDWR|os.O_CREATE)
		cmd.Stdout = outputs[args]
		m.Require(cmd.Start())
		defer cmd.Wait()
		defer cmd.Process.Kill()
	}
	shown := func(args string) (lines []string) { // a number and a state each
		t.Helper()
		content, err := os.ReadFile(outputs[args].Name())
		m.Require(err)
		whole := content[:bytes.LastIndexByte(content, '\n')+1] // of the last line the beginning may be there
		for line := range strings.Lines(string(whole)) {
			columns := strings.Split(line, "\t")
			lines = append(lines, columns[0]+" "+columns[2])
		}
		return lines
	}
	await := func(last string) {
		t.Helper()
		for args, want := range wanted {
			n := slices.Index(want, last) + 1 // 0: this one does not show it
			m.Eventually(fmt.Sprintf("following %s shows %q", args, want[:n]), func() bool { return len(shown(args)) >= n })
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
	m.Multiply(130, 0)
	for seq := 6; seq <= 135; seq++ {
		for _, args := range []string{"", "--limit=2", "--state=pending --limit=1"} {
			wanted[args] = append(wanted[args], fmt.Sprint(seq, " pending"))
		}
	}
	await("135 pending")
	if r := m.Must("usage", "inspect"); r.Stderr != "Note: 50 of 135 messages; '--limit 0' gives all.\n" {
		t.Errorf("a list says %q, want that it is cut after 50", r.Stderr)
	}
	for range 20 { // meanwhile they look at the queue again
		m.Must("usage", "inspect")
	}
	for args, want := range wanted {
		if got := shown(args); !slices.Equal(got, want) {
			t.Errorf("following %s shows %q, want each change once: %q", args, got, want)
		}
	}
}
