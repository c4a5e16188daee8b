package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestWhatIsRecordedOfflineIsDeliveredLaterInOrderAndOnce(t *testing.T) {
	m := newMachine(t)
	m.offline()
	for range 5 {
		m.run("succeed")
		m.run("fail", "x")
	}
	recorded := m.inspect()
	if len(recorded.Messages) != 10 {
		t.Fatalf("%d messages are in the outbox after ten commands, want ten", len(recorded.Messages))
	}
	m.online()
	m.must("succeed")
	events := m.awaitEvents(11, 15*time.Second)
	for i, want := range recorded.Messages {
		if got := events[i]; got.UUID != want.UUID || rfc3339(got.Timestamp) != want.RecordedAt {
			t.Errorf("event %d is %s of %s, want %s of %s: order and original time", i,
				got.UUID, rfc3339(got.Timestamp), want.UUID, want.RecordedAt)
		}
	}
	if n := len(m.posthog.Commits()); n != 11 {
		t.Errorf("PostHog got %d messages, want each of eleven once", n)
	}
	m.noViolations()
}

func TestTwoPeopleOnOneMachineStayApart(t *testing.T) {
	m := newMachine(t)
	m.offline()
	m.must("succeed")
	m.cloud.meet("ada")
	m.login()
	m.must("succeed")
	m.must("logout")
	m.must("succeed")
	m.cloud.meet("bob")
	m.login()
	m.must("succeed")
	m.awaitNoFlusher()
	m.online()
	m.must("usage", "flush")

	m.noViolations()
	var story []string
	anon := map[string]string{}
	for _, e := range m.posthog.Events() {
		who := e.DistinctID
		if e.Properties()["$process_person_profile"] == false {
			if anon[who] == "" {
				anon[who] = fmt.Sprintf("anonymous-%d", len(anon)+1)
			}
			who = anon[who]
		}
		what := fmt.Sprint(e.Properties()["command_name"])
		if e.IsAlias() {
			what = "alias of " + anon[fmt.Sprint(e.Properties()["alias"])]
		}
		story = append(story, who+": "+what)
	}
	want := []string{
		"anonymous-1: succeed",
		"principal-ada: alias of anonymous-1", "principal-ada: login", "principal-ada: succeed", "principal-ada: logout",
		"anonymous-2: succeed",
		"principal-bob: alias of anonymous-2", "principal-bob: login", "principal-bob: succeed",
	}
	if got := strings.Join(story, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("PostHog was told\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestACommandDoesNotWaitForAHangingNetwork(t *testing.T) {
	m := newMachine(t)
	m.posthog.SetFault(fault("hang"))
	m.cloud.meet("ada")
	m.cloud.hang(true)
	m.writeCredentials("arc_ada")
	m.must("succeed") // creates the database and leaves a flusher that hangs
	for range 5 {
		if r := m.must("succeed"); r.took > time.Second {
			t.Errorf("a command took %s; PostHog and Cloud hang for longer than 2 s each", r.took)
		}
	}
	if n := len(m.inspect().Messages); n != 7 { // six events and the waiting alias
		t.Errorf("%d messages recorded, want 7", n)
	}
}

func TestTwoHundredCommandsAtOnceLoseNothing(t *testing.T) {
	m := newMachine(t)
	const n = 200
	var wg sync.WaitGroup
	for range n {
		cmd := m.command("succeed")
		wg.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	m.awaitNoFlusher()
	m.must("usage", "flush")
	if got := len(m.posthog.Events()); got != n {
		t.Errorf("PostHog has %d events of %d commands", got, n)
	}
	m.noViolations() // two flushers would overlap
}

func TestKillingTheFlusherBetweenAnswerAndSettlementRepeatsTheSameBytes(t *testing.T) {
	m := newMachine(t)
	m.env = append(m.env, testKillAt+"=after-request")
	m.must("succeed")
	m.awaitEvents(1, 10*time.Second)
	m.awaitNoFlusher()
	m.env = append(m.env, testKillAt+"=")
	if st := m.status(); st.Pending != 1 {
		t.Fatalf("%d pending after the flusher was killed, want 1: the answer was never written down", st.Pending)
	}
	m.must("usage", "flush")
	commits := m.posthog.Commits()
	if len(commits) != 2 || string(commits[0].Raw) != string(commits[1].Raw) {
		t.Errorf("PostHog got %d messages, want the same bytes twice", len(commits))
	}
	m.noViolations()
}

func TestEventAndIdentityAreCommittedTogetherOrNotAtAll(t *testing.T) {
	m := newMachine(t)
	m.offline()
	m.cloud.meet("ada")
	m.must("succeed")
	m.awaitNoFlusher()
	before := m.inspect()
	m.env = append(m.env, fmt.Sprintf("%s=%d", testCallback, freePort(t)), testKillAt+"=before-commit")
	m.run("login", "--host", "localhost", "--port", m.cloud.port())
	m.env = append(m.env, testKillAt+"=")
	after := m.inspect()
	if len(after.Messages) != len(before.Messages) || after.Identity.LinkedPrincipalID != nil {
		t.Errorf("after a kill before the commit there are %d messages (had %d) and the principal is %v",
			len(after.Messages), len(before.Messages), after.Identity.LinkedPrincipalID)
	}
	m.env = append(m.env, testKillAt+"=after-commit")
	m.run("succeed") // the credentials are there: this one links
	m.env = append(m.env, testKillAt+"=")
	m.must("succeed")
	m.awaitNoFlusher()
	m.online()
	m.must("usage", "flush")
	m.noViolations()
	if got := m.inspect().Identity.LinkedPrincipalID; got == nil || *got != "principal-ada" {
		t.Errorf("the principal is %v, want principal-ada", got)
	}
	if got := m.readFile("usage.json"); !strings.Contains(got, "principal-ada") {
		t.Errorf("usage.json is behind the database: %s", got)
	}
}

func TestOffMeansOff(t *testing.T) {
	for _, off := range []string{"ARCADE_USAGE_TRACKING=0", "ARCADE_USAGE_TRACKING=False", "ARCADE_USAGE_TRACKING=no", "ARCADE_USAGE_TRACKING=OFF", "DO_NOT_TRACK=1"} {
		t.Run(off, func(t *testing.T) {
			m := newMachine(t)
			m.env = append(m.env, off)
			r := m.run("fail", "x")
			if _, err := os.Stat(m.path("")); !os.IsNotExist(err) {
				t.Error("there is a directory, although nothing may be created")
			}
			if strings.Contains(r.stderr, "arcade notes") {
				t.Error("the notice was shown although nothing is recorded")
			}
		})
	}
	t.Run("ARCADE_USAGE_TRACKING=1 beats DO_NOT_TRACK", func(t *testing.T) {
		m := newMachine(t)
		m.env = append(m.env, "ARCADE_USAGE_TRACKING=1", "DO_NOT_TRACK=1")
		m.must("succeed")
		m.awaitEvents(1, 10*time.Second)
	})
	t.Run("disable erases what waits, for ever", func(t *testing.T) {
		m := newMachine(t)
		m.offline()
		m.must("succeed")
		m.awaitNoFlusher()
		if out := m.must("usage", "disable").stdout; !strings.Contains(out, "1 waiting message was erased") {
			t.Errorf("disable says %q", out)
		}
		m.must("succeed")
		m.must("usage", "enable")
		m.online()
		m.must("succeed")
		events := m.awaitEvents(1, 15*time.Second)
		if len(events) != 1 {
			t.Errorf("PostHog has %d events, want only the one after enable", len(events))
		}
	})
}

func TestRecordingNeverChangesWhatACommandSays(t *testing.T) {
	breakages := map[string]func(m *machine){
		"a directory in place of the database": func(m *machine) { os.MkdirAll(m.path("usage.db"), 0o700) },
		"a file in place of the directory":     func(m *machine) { os.WriteFile(m.path(""), nil, 0o600) },
		"no home at all":                       func(m *machine) { m.env = append(m.env, "HOME=") },
		"a home that does not exist":           func(m *machine) { m.env = append(m.env, "ARCADE_WORK_DIR=/proc/nowhere") },
		"garbage in the database": func(m *machine) {
			os.MkdirAll(m.path(""), 0o700)
			os.WriteFile(m.path("usage.db"), []byte(strings.Repeat("garbage", 1000)), 0o600)
		},
	}
	for name, breakage := range breakages {
		for _, args := range [][]string{{"succeed"}, {"fail", "x"}, {"nonsense"}, {"succeed", "--nonsense"}} {
			t.Run(name+"/"+args[0], func(t *testing.T) {
				m := newMachine(t)
				breakage(m)
				on := m.run(args...)
				m.env = append(m.env, "ARCADE_USAGE_TRACKING=0")
				off := m.run(args...)
				on.stderr = strings.TrimSuffix(on.stderr, notice)
				if on.stdout != off.stdout || on.stderr != off.stderr || on.code != off.code {
					t.Errorf("with tracking %+v, without %+v", on, off)
				}
			})
		}
	}
}
