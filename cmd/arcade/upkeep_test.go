package main

import (
	"bufio"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func (m *machine) runWith(stdin string, args ...string) result {
	m.Helper()
	cmd := m.command(args...)
	cmd.Stdin = strings.NewReader(stdin)
	return m.finish(cmd)
}

func TestADeadMessageIsDeliveredAfterRetry(t *testing.T) {
	m := newMachine(t)
	m.posthog.SetPoison(func(outboxtest.Message) int { return 400 })
	m.must("succeed")
	m.awaitNoFlusher()
	if c := m.inspect().Counts; c.Dead != 1 || c.Pending != 0 {
		t.Fatalf("%+v, want one dead", c)
	}
	if r := m.must("usage", "flush"); !strings.HasPrefix(r.stdout, "0 messages delivered") {
		t.Errorf("a dead message must stay where it is: %q", r.stdout)
	}
	m.posthog.SetPoison(nil)
	if r := m.must("usage", "retry", "77"); !strings.Contains(r.stdout, "0 messages wait again") || !strings.Contains(r.stderr, "1 of them is") {
		t.Errorf("retry of an unknown message says %q %q", r.stdout, r.stderr)
	}
	if r := m.must("usage", "retry"); !strings.Contains(r.stdout, "1 message waits again") {
		t.Errorf("retry says %q", r.stdout)
	}
	m.must("usage", "flush")
	if len(m.posthog.Events()) != 1 {
		t.Error("the message did not arrive after retry")
	}
	m.noViolations()
}

func TestExportIsWhatGoesOverTheWire(t *testing.T) {
	m := newMachine(t)
	m.offline()
	for range 3 {
		m.must("succeed")
	}
	m.awaitNoFlusher()
	lines := strings.Split(strings.TrimSpace(m.must("usage", "export").stdout), "\n")
	m.online()
	m.must("usage", "flush")
	commits := m.posthog.Commits()
	if len(lines) != len(commits) {
		t.Fatalf("%d lines for %d messages", len(lines), len(commits))
	}
	for i, c := range commits {
		if lines[i] != string(c.Raw) {
			t.Errorf("line %d is\n%s\nand on the wire went\n%s", i, lines[i], c.Raw)
		}
	}
}

func TestClearAsksAndNeedsYesWhereNobodyCanBeAsked(t *testing.T) {
	m := newMachine(t)
	m.offline()
	m.must("succeed")
	m.awaitNoFlusher()
	if r := m.runWith("y\n", "usage", "clear"); r.code != 2 || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("without a terminal: exit code %d, %s", r.code, r.stderr)
	}
	if r := m.must("usage", "clear", "--yes"); !strings.Contains(r.stdout, "Erased: 1 waiting message.") {
		t.Errorf("clear says %q", r.stdout)
	}
	if found := m.inspect(); len(found.Messages) != 0 || found.Identity.AnonID == "" {
		t.Errorf("%d messages and the anon id %q: messages go, the identity stays", len(found.Messages), found.Identity.AnonID)
	}
}

func TestFollowShowsRecordingAndDeliveryAsTheyHappen(t *testing.T) {
	m := newMachine(t)
	m.must("succeed")
	m.awaitEvents(1, 10*time.Second)
	m.awaitNoFlusher()
	m.offline()
	cmd := m.interruptible("usage", "inspect", "--follow")
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
	m.must("succeed")
	await("pending\tsucceed")
	m.awaitNoFlusher()
	m.online()
	m.must("usage", "flush")
	await("delivered\tsucceed")
	if err := interrupt(cmd.Process); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("Ctrl-C, which is how following ends, gives exit code %d", code)
	}
}

func TestLoginWithAKeyFromStandardInput(t *testing.T) {
	t.Run("an accepted key links like any login", func(t *testing.T) {
		m := newMachine(t)
		m.cloud.meet("ada")
		m.must("succeed")
		r := m.runWith("arc_ada\n", "login", "--with-key", "--debug", "--host", "localhost", "--port", m.cloud.port())
		if r.code != 0 || !strings.Contains(r.stdout, "You are logged in.") || strings.Contains(r.stdout+r.stderr, "arc_ada") {
			t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
		}
		if want := "debug: GET " + m.cloud.URL + "/api/v1/auth/validate: 200 in "; !strings.Contains(strings.ReplaceAll(r.stderr, "localhost", "127.0.0.1"), want) {
			t.Errorf("--debug says %q, want %q", r.stderr, want)
		}
		m.awaitNoFlusher()
		m.must("usage", "flush")
		if got := m.inspect().Identity.LinkedPrincipalID; got == nil || *got != "principal-ada" {
			t.Errorf("linked to %v", got)
		}
		m.noViolations()
	})
	for name, test := range map[string]struct{ stdin, want string }{
		"a refused key":    {"arc_unknown\n", "does not accept"},
		"nothing":          {"\n", "no key"},
		"more than a key":  {"arc_ada and more\n", "not an API key"},
		"an endless input": {strings.Repeat("x", 10_000), "not an API key"},
	} {
		t.Run(name+" is not kept", func(t *testing.T) {
			m := newMachine(t)
			r := m.runWith(test.stdin, "login", "--with-key", "--host", "localhost", "--port", m.cloud.port())
			if r.code != 1 || !strings.Contains(r.stderr, test.want) {
				t.Errorf("exit code %d: %s", r.code, r.stderr)
			}
			if r := m.run("whoami"); r.code != 1 {
				t.Error("somebody is logged in all the same")
			}
		})
	}
}

func TestStatusTellsWhatDecidedAndWhatIsNext(t *testing.T) {
	m := newMachine(t)
	m.offline()
	m.must("succeed")
	m.awaitNoFlusher()
	st := m.status()
	if !st.Tracking || st.DecidedBy != "default, or arcade usage enable" || st.Pending != 1 || !st.KeySet ||
		st.Failures != 1 || st.LastError == nil || st.NextAttempt == nil || st.Schema != 1 || st.SizeBytes == 0 {
		encoded, _ := json.Marshal(st)
		t.Errorf("offline: %s", encoded)
	}
	m.must("usage", "disable")
	if st := m.status(); st.Tracking || st.DecidedBy != "arcade usage disable" || st.Erased != 1 {
		t.Errorf("after disable: %+v", st)
	}
	m.env = append(m.env, "ARCADE_USAGE_TRACKING=yes")
	if st := m.status(); !st.Tracking || st.DecidedBy != "ARCADE_USAGE_TRACKING" {
		t.Errorf("the variable beats disable: %+v", st)
	}
}

func TestDebugOfSecretsTellsRequestsAndNothingPrivate(t *testing.T) {
	m := newMachine(t)
	m.env = append(m.env, "ARCADE_API_KEY=arc_SENTINEL", "ARCADE_USAGE_TRACKING=0")
	r := m.run("secret", "set", "KEY=SENTINEL-value", "--debug", "--host", "127.0.0.1", "--port", "1")
	if r.code != 1 || !strings.Contains(r.stderr, "debug: PUT http://localhost:1/v1/admin/secrets/KEY: no answer in ") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if strings.Contains(r.stdout+r.stderr, "SENTINEL") {
		t.Errorf("the trace tells a secret: %s", r.stderr)
	}
}
