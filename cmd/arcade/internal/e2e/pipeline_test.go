package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestWhatIsRecordedOfflineIsDeliveredLaterInOrderAndOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Offline()
	for range 5 {
		m.Run("succeed")
		m.Run("fail", "x")
	}
	recorded := m.Inspect()
	if len(recorded.Messages) != 10 {
		t.Fatalf("%d messages are in the outbox after ten commands, want ten", len(recorded.Messages))
	}
	m.Online()
	m.Must("succeed")
	events := m.AwaitEvents(11, time.Minute)
	for i, want := range recorded.Messages {
		if got := events[i]; got.UUID != want.UUID || term.RFC3339(got.Timestamp) != want.RecordedAt {
			t.Errorf("event %d is %s of %s, want %s of %s: order and original time", i,
				got.UUID, term.RFC3339(got.Timestamp), want.UUID, want.RecordedAt)
		}
	}
	if n := len(m.Posthog.Commits()); n != 11 {
		t.Errorf("PostHog got %d messages, want each of eleven once", n)
	}
	m.NoViolations()
}

func TestTwoPeopleOnOneMachineStayApart(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Offline()
	m.Must("succeed")
	m.Cloud.Meet("ada")
	m.Login()
	m.Must("succeed")
	m.Must("logout")
	m.Must("succeed")
	m.Cloud.Meet("bob")
	m.Login()
	m.Must("succeed")
	m.AwaitNoFlusher()
	m.Online()
	m.Must("usage", "flush")

	m.NoViolations()
	var story []string
	anon := map[string]string{}
	for _, e := range m.Posthog.Events() {
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
	m.Posthog.SetFault(outboxtest.MustFault("hang"))
	m.Cloud.Meet("ada")
	m.Cloud.Hang(true)
	m.WriteCredentials("arc_ada")
	m.Must("succeed")    // creates the database and leaves a flusher that hangs
	fastest := time.Hour // the machine may be busy with one of them, and a wait would be in each
	for range 5 {
		fastest = min(fastest, m.Must("succeed").Took)
	}
	if fastest > 2*time.Second {
		t.Errorf("each command took %s or more; PostHog and Cloud hang for longer than 2 s each", fastest)
	}
	if n := len(m.Inspect().Messages); n != 7 { // six events and the waiting alias
		t.Errorf("%d messages recorded, want 7", n)
	}
}

func TestEventAndIdentityAreCommittedTogetherOrNotAtAll(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Offline()
	m.Cloud.Meet("ada")
	m.Must("succeed")
	m.AwaitNoFlusher()
	before := m.Inspect()
	m.Env = append(m.Env, testbed.TestKillAt+"=before-commit")
	m.Run("login", "--host", "localhost", "--port", m.Cloud.Port())
	m.Env = append(m.Env, testbed.TestKillAt+"=")
	after := m.Inspect()
	if len(after.Messages) != len(before.Messages) || after.Identity.LinkedPrincipalID != nil {
		t.Errorf("after a kill before the commit there are %d messages (had %d) and the principal is %v",
			len(after.Messages), len(before.Messages), after.Identity.LinkedPrincipalID)
	}
	m.Env = append(m.Env, testbed.TestKillAt+"=after-commit")
	m.Run("succeed") // the credentials are there: this one links
	m.Env = append(m.Env, testbed.TestKillAt+"=")
	m.Must("succeed")
	m.AwaitNoFlusher()
	m.Online()
	m.Must("usage", "flush")
	m.NoViolations()
	if got := m.Inspect().Identity.LinkedPrincipalID; got == nil || *got != "principal-ada" {
		t.Errorf("the principal is %v, want principal-ada", got)
	}
	if got := m.ReadFile("usage.json"); !strings.Contains(got, "principal-ada") {
		t.Errorf("usage.json is behind the database: %s", got)
	}
}

func TestOffMeansOff(t *testing.T) {
	t.Parallel()
	t.Run("ARCADE_USAGE_TRACKING=1 beats DO_NOT_TRACK", func(t *testing.T) {
		m := newMachine(t)
		m.Env = append(m.Env, "ARCADE_USAGE_TRACKING=1", "DO_NOT_TRACK=1")
		m.Must("succeed")
		m.AwaitEvents(1, time.Minute)
	})
	t.Run("disable erases what waits, for ever", func(t *testing.T) {
		m := newMachine(t)
		m.Offline()
		m.Must("succeed")
		m.AwaitNoFlusher()
		if out := m.Must("usage", "disable").Stdout; !strings.Contains(out, "1 waiting message was erased") {
			t.Errorf("disable says %q", out)
		}
		m.Must("succeed")
		m.Must("usage", "enable")
		m.Online()
		m.Must("succeed")
		events := m.AwaitEvents(1, time.Minute)
		if len(events) != 1 {
			t.Errorf("PostHog has %d events, want only the one after enable", len(events))
		}
	})
}

func TestRecordingNeverChangesWhatACommandSays(t *testing.T) {
	t.Parallel()
	breakages := map[string]func(m *machine){
		"a directory in place of the database": func(m *machine) { os.MkdirAll(m.Path("usage.db"), 0o700) },
		"a file in place of the directory":     func(m *machine) { os.WriteFile(m.Path(""), nil, 0o600) },
		"a device in place of the home":        func(m *machine) { m.Env = append(m.Env, "HOME=/dev/null") },
		"a home in /proc":                      func(m *machine) { m.Env = append(m.Env, "HOME=/proc/self") },
		"no home at all":                       func(m *machine) { m.Env = append(m.Env, "HOME=") },
		"a home that does not exist":           func(m *machine) { m.Env = append(m.Env, "ARCADE_WORK_DIR=/proc/nowhere") },
		"garbage in the database": func(m *machine) {
			os.MkdirAll(m.Path(""), 0o700)
			os.WriteFile(m.Path("usage.db"), []byte(strings.Repeat("garbage", 1000)), 0o600)
		},
	}
	for name, breakage := range breakages {
		for _, args := range [][]string{{"succeed"}, {"fail", "x"}, {"nonsense"}, {"succeed", "--nonsense"}} {
			t.Run(name+"/"+args[0], func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				breakage(m)
				on := m.Run(args...)
				m.Env = append(m.Env, "ARCADE_USAGE_TRACKING=0")
				off := m.Run(args...)
				on.Stderr = strings.TrimSuffix(on.Stderr, m.Notice())
				if on.Stdout != off.Stdout || on.Stderr != off.Stderr || on.Code != off.Code {
					t.Errorf("with tracking %+v, without %+v", on, off)
				}
			})
		}
	}
}
