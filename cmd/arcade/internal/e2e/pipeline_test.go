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

// What was recorded offline arrives later, in order and once, as it was recorded.
func TestTwoPeopleOnOneMachineStayApart(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, testbed.Flusher)
	m.Must("succeed")
	m.Cloud.Meet("ada")
	m.Login()
	m.Must("succeed")
	m.Must("logout")
	m.Must("succeed")
	m.Cloud.Meet("bob")
	m.Login()
	m.Must("succeed")
	recorded := m.Inspect().Messages
	m.Must("usage", "flush")

	m.NoViolations()
	if n := len(m.Posthog.Commits()); n != len(recorded) {
		t.Errorf("PostHog got %d messages, want each of %d once", n, len(recorded))
	}
	var story []string
	anon := map[string]string{}
	for i, e := range m.Posthog.Events() {
		if want := recorded[i]; e.UUID != want.UUID || term.RFC3339(e.Timestamp) != want.RecordedAt {
			t.Errorf("message %d is %s of %s, want %s of %s", i+1, e.UUID, term.RFC3339(e.Timestamp), want.UUID, want.RecordedAt)
		}
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
	m.Must("succeed") // creates the database and leaves a flusher that hangs
	for range 20 {    // a wait would be in each of them, the machine may be busy with some
		if m.Must("succeed").Took < 2*time.Second {
			return
		}
	}
	t.Error("each command took 2 s or more; PostHog and Cloud hang for longer than 2 s each")
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
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			breakage(m)
			for _, args := range [][]string{{"succeed"}, {"fail", "x"}, {"nonsense"}, {"succeed", "--nonsense"}} {
				on := m.Run(args...)
				off := m.With("ARCADE_USAGE_TRACKING=0").Run(args...)
				on.Stderr = strings.TrimSuffix(on.Stderr, m.Notice())
				if on.Stdout != off.Stdout || on.Stderr != off.Stderr || on.Code != off.Code {
					t.Errorf("arcade %v: with tracking %+v, without %+v", args, on, off)
				}
			}
		})
	}
}
