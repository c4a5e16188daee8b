package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestACommandDoesNotWaitForAHangingNetwork(t *testing.T) {
	m := newMachine(t)
	m.Posthog.SetFault(outboxtest.MustFault("hang"))
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
		"a directory in place of the database": func(m *machine) { m.writeFile("usage.db/x", "") },
		"a file in place of the directory":     func(m *machine) { m.writeAt(".arcade", "") },
		"a device in place of the home":        func(m *machine) { m.Env = append(m.Env, "HOME=/dev/null") },
		"a home in /proc":                      func(m *machine) { m.Env = append(m.Env, "HOME=/proc/self") },
		"no home at all":                       func(m *machine) { m.Env = append(m.Env, "HOME=") },
		"a home that does not exist":           func(m *machine) { m.Env = append(m.Env, "ARCADE_WORK_DIR=/proc/nowhere") },
		"garbage in the database":              func(m *machine) { m.writeFile("usage.db", strings.Repeat("garbage", 1000)) },
	}
	for name, breakage := range breakages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			breakage(m)
			for _, line := range []string{"succeed", "fail x", "nonsense", "succeed --nonsense"} {
				on := m.Run(strings.Fields(line)...)
				off := m.with("ARCADE_USAGE_TRACKING=0").Run(strings.Fields(line)...)
				on.Stderr = strings.TrimSuffix(on.Stderr, m.Notice())
				if on.Stdout != off.Stdout || on.Stderr != off.Stderr || on.Code != off.Code {
					t.Errorf("arcade %s: with tracking %+v, without %+v", line, on, off)
				}
			}
		})
	}
}

// What a file or a server says is shown, and no terminal obeys it.
func TestForeignTextIsCleanedInEveryCommand(t *testing.T) {
	t.Parallel()
	m := untracked(t)
	m.Cloud.Meet("ada")
	m.WriteCredentials("arc_ada")
	m.edit("  coordinator_url:", `  user: {email: "a\x1b]0;owned\a\x1b[2J\u202eda\nCloud: elsewhere"}`+"\n  coordinator_url:")
	for _, args := range [][]string{{"whoami"}, {"whoami", "--json"}, {"login"}, {"secret", "list", "--host", "a\x1b[31mb\u202e"}, {"a\x1b[2Jb"}} {
		r := m.Run(args...)
		if strings.ContainsAny(r.Stdout+r.Stderr, "\x1b\a\u202e") {
			t.Errorf("arcade %q lets through %q", args, r.Stdout+r.Stderr)
		}
	}
	if r := m.Must("whoami"); !strings.Contains(r.Stdout, "ada Cloud: elsewhere\n") {
		t.Errorf("whoami says %q, want the e-mail in one line", r.Stdout)
	}
}
