package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestADeadMessageIsDeliveredAfterRetry(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Must("succeed")
	m.Must("usage", "flush") // who has accepted something may refuse
	m.Posthog.SetPoison(func(outboxtest.Message) int { return 400 })
	m.Must("succeed")
	m.AwaitNoFlusher()
	if c := m.Inspect().Counts; c.Dead != 1 || c.Pending != 0 {
		t.Fatalf("%+v, want one dead", c)
	}
	if r := m.Must("usage", "flush"); !strings.HasPrefix(r.Stdout, "0 messages delivered") {
		t.Errorf("a dead message must stay where it is: %q", r.Stdout)
	}
	m.Posthog.SetPoison(nil)
	if r := m.Run("usage", "retry", "77"); r.Code != 1 || !strings.Contains(r.Stderr, "no dead message has this number") {
		t.Errorf("retry of an unknown message exits %d and says %q %q", r.Code, r.Stdout, r.Stderr)
	}
	if r := m.Must("usage", "retry"); !strings.Contains(r.Stdout, "1 message waits again") {
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
	m.Offline()
	for range 3 {
		m.Must("succeed")
	}
	m.AwaitNoFlusher()
	lines := strings.Split(strings.TrimSpace(m.Must("usage", "export").Stdout), "\n")
	second := m.Must("usage", "inspect", "2").Stdout
	m.Online()
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

func TestClearAsksAndNeedsYesWhereNobodyCanBeAsked(t *testing.T) {
	m := newMachine(t)
	m.Offline()
	m.Must("succeed")
	m.AwaitNoFlusher()
	if r := m.RunWith("y\n", "usage", "clear"); r.Code != 2 || !strings.Contains(r.Stderr, "--yes") {
		t.Errorf("without a terminal: exit code %d, %s", r.Code, r.Stderr)
	}
	if r := m.Must("usage", "clear", "--yes"); !strings.Contains(r.Stdout, "Erased: 1 waiting message.") {
		t.Errorf("clear says %q", r.Stdout)
	}
	if found := m.Inspect(); len(found.Messages) != 0 || found.Identity.AnonID == "" {
		t.Errorf("%d messages and the anon id %q: messages go, the identity stays", len(found.Messages), found.Identity.AnonID)
	}
}

func TestFollowShowsRecordingAndDeliveryAsTheyHappen(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Must("succeed")
	m.AwaitEvents(1, 10*time.Second)
	m.AwaitNoFlusher()
	m.Offline()
	cmd := m.Interruptible("usage", "inspect", "--follow")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() // if the test does not come to its end
	lines := bufio.NewScanner(stdout)
	await := func(part string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), part) {
				return
			}
		}
		t.Errorf("no line with %q came", part)
	}
	await("1\t")
	m.Must("succeed")
	await("pending\tsucceed")
	m.AwaitNoFlusher()
	m.Online()
	m.Must("usage", "flush")
	await("delivered\tsucceed")
	if err := testbed.Interrupt(cmd.Process); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("after Ctrl-C following ends with %d, want 130", code)
	}
}

func TestLoginWithAKeyFromStandardInput(t *testing.T) {
	t.Parallel()
	t.Run("an accepted key links like any login", func(t *testing.T) {
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
	})
	for name, test := range map[string]struct{ stdin, want string }{
		"a refused key":    {"arc_unknown\n", "does not accept"},
		"nothing":          {"\n", "no key"},
		"more than a key":  {"arc_ada and more\n", "not an API key"},
		"an endless input": {strings.Repeat("x", 10_000), "not an API key"},
	} {
		t.Run(name+" is not kept", func(t *testing.T) {
			m := newMachine(t)
			r := m.RunWith(test.stdin, "login", "--with-key", "--host", "localhost", "--port", m.Cloud.Port())
			if r.Code != 1 || !strings.Contains(r.Stderr, test.want) {
				t.Errorf("exit code %d: %s", r.Code, r.Stderr)
			}
			if r := m.Run("whoami"); r.Code != 1 {
				t.Error("somebody is logged in all the same")
			}
		})
	}
}

func TestStatusTellsWhatDecidedAndWhatIsNext(t *testing.T) {
	m := newMachine(t)
	m.Offline()
	m.Must("succeed")
	m.AwaitNoFlusher()
	st := m.Status()
	if !st.Tracking || st.DecidedBy != "default, or arcade usage enable" || st.Pending != 1 || !st.KeySet ||
		st.Failures != 1 || st.LastError == nil || st.NextAttempt == nil || st.Schema != 2002 || st.SizeBytes == 0 {
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

func TestDebugOfSecretsTellsRequestsAndNothingPrivate(t *testing.T) {
	m := newMachine(t)
	m.Env = append(m.Env, "ARCADE_API_KEY=arc_SENTINEL", "ARCADE_USAGE_TRACKING=0")
	r := m.Run("secret", "set", "KEY=SENTINEL-value", "--debug", "--host", "127.0.0.1", "--port", "1")
	if r.Code != 1 || !strings.Contains(r.Stderr, "debug: PUT http://localhost:1/v1/admin/secrets/KEY: no answer in ") {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
	if strings.Contains(r.Stdout+r.Stderr, "SENTINEL") {
		t.Errorf("the trace tells a secret: %s", r.Stderr)
	}
}
