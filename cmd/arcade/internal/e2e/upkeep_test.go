package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestADeadMessageIsDeliveredAfterRetry(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, testbed.Flusher)
	m.Must("succeed")
	m.Must("usage", "flush") // only a server that has accepted something may refuse
	m.Posthog.SetResults(func(outboxtest.Message) string { return "drop:rejected" })
	m.Must("succeed")
	m.Must("usage", "flush")
	if c := m.Inspect().Counts; c.Dead != 1 || c.Pending != 0 {
		t.Fatalf("%+v, want one dead", c)
	}
	if r := m.Must("usage", "flush"); !strings.HasPrefix(r.Stdout, "Nothing was left to deliver.") {
		t.Errorf("a dead message must stay where it is: %q", r.Stdout)
	}
	m.Posthog.SetResults(func(outboxtest.Message) string { return "" })
	if r := m.Run("usage", "retry", "77"); r.Code != 1 || !strings.Contains(r.Stderr, "no dead message has this number") {
		t.Errorf("retry of an unknown message exits %d and says %q %q", r.Code, r.Stdout, r.Stderr)
	}
	if r := m.Must("usage", "retry"); !strings.Contains(r.Stdout, "Waiting again: 1 message. 'arcade usage flush' delivers now") {
		t.Errorf("retry says %q", r.Stdout)
	}
	m.Must("usage", "flush")
	if len(m.Posthog.Events()) != 2 {
		t.Error("the message did not arrive after retry")
	}
	m.NoViolations()
}

func TestExportAndInspectShowWhatGoesOverTheWire(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, testbed.Flusher)
	for range 3 {
		m.Must("succeed")
	}
	lines := strings.Split(strings.TrimSpace(m.Must("usage", "export").Stdout), "\n")
	second := m.Must("usage", "inspect", "2").Stdout
	m.Must("usage", "flush")
	commits := m.Posthog.Commits()
	if len(lines) != len(commits) {
		t.Fatalf("%d lines for %d messages", len(lines), len(commits))
	}
	for i, c := range commits {
		if lines[i] != string(c.Raw) {
			t.Errorf("line %d is\n%s\nand on the wire went\n%s", i, lines[i], c.Raw)
		}
	}
	var inspected bytes.Buffer
	if err := json.Compact(&inspected, []byte(second)); err != nil || strings.TrimSpace(inspected.String()) != string(commits[1].Raw) {
		t.Errorf("inspect printed\n%s\nand on the wire went\n%s", second, commits[1].Raw)
	}
}

// follower is a process that follows the queue into a file.
type follower struct {
	*exec.Cmd
	output *os.File
}

func (m *machine) follower(args ...string) follower {
	m.Helper()
	output, err := os.Create(filepath.Join(m.TempDir(), "output"))
	m.Require(err)
	f := follower{testbed.Interruptible(m, m.Command(append([]string{"usage", "inspect", "--follow"}, args...)...)), output}
	f.Stdout = output
	m.Require(f.Start())
	m.Cleanup(func() { f.Process.Kill(); output.Close() })
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
		"--state=delivered":           {"1 delivered", "2 delivered", "3 delivered", "4 delivered", "5 delivered"},
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
		m.Offline()
		m.Must("succeed")
		m.AwaitNoFlusher()
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
		m.Require(testbed.Interrupt(f.Process))
		f.Wait()
		if code := f.ProcessState.ExitCode(); code != 130 {
			t.Errorf("after Ctrl-C following %s ends with %d, want 130", args, code)
		}
	}
}

func TestAKeyFromStandardInputLinksLikeAnyLogin(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Cloud.Meet("ada")
	m.Must("succeed")
	r := m.RunWith("arc_ada\n", "login", "--with-key", "--debug", "--host", "localhost", "--port", m.Cloud.Port())
	if r.Code != 0 || !strings.Contains(r.Stdout, "You are logged in.") || strings.Contains(r.Stdout+r.Stderr, "arc_ada") {
		t.Errorf("exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if want := "debug: GET " + m.Cloud.URL + "/api/v1/auth/validate: 200 in "; !strings.Contains(strings.ReplaceAll(r.Stderr, "localhost", "127.0.0.1"), want) {
		t.Errorf("--debug says %q, want %q", r.Stderr, want)
	}
	m.AwaitNoFlusher()
	m.Must("usage", "flush")
	if got := m.Inspect().Identity.LinkedPrincipalID; got == nil || *got != "principal-ada" {
		t.Errorf("linked to %v", got)
	}
	m.NoViolations()
}

func TestStatusTellsWhatDecidedAndWhatIsNext(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Offline()
	m.Must("succeed")
	m.AwaitNoFlusher()
	st := m.With(testbed.TestClock + "=-10m").Status() // the next attempt is still to come
	if !st.Tracking || st.DecidedBy != "default" || st.Pending != 1 || !st.KeySet ||
		st.Failures != 1 || st.LastError == nil || st.NextAttempt == nil || st.Schema != 2003 || st.SizeBytes == 0 {
		encoded, _ := json.Marshal(st)
		t.Errorf("offline: %s", encoded)
	}
	m.Must("usage", "disable")
	if st := m.Status(); st.Tracking || st.DecidedBy != "arcade usage disable" || st.Erased != 1 {
		t.Errorf("after disable: %+v", st)
	}
	m.Env = append(m.Env, "ARCADE_USAGE_TRACKING=yes")
	if st := m.Status(); !st.Tracking || st.DecidedBy != "ARCADE_USAGE_TRACKING" {
		t.Errorf("the variable beats disable: %+v", st)
	}
}
