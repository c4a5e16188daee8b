package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// What is recorded, and what is not: looking at the queue must not change it.
func TestEveryEndingIsRecordedAndHelpIsNot(t *testing.T) {
	t.Parallel()
	m := unflushed(t)
	for _, line := range []string{
		"succeed", "fail x", "panic x", "nonsense", "succeed --nonsense", "succeed --number x", "whoami x",
		"", "help", "help usage", "--help", "succeed --help", "--version", "-v", "completion bash", "__complete whoami",
		"usage", "usage inspect", "usage status", "usage zzz", "usage inspect --zzz",
	} {
		m.Run(strings.Fields(line)...)
	}
	var got []string
	for _, message := range m.Inspect().Messages {
		var p track.Properties
		m.Require(json.Unmarshal(message.Properties, &p))
		got = append(got, message.Event[len("CLI execution "):]+" "+p.CommandName+": "+p.ErrorMessage)
	}
	want := []string{
		"succeeded succeed: ", "failed fail: failure", "failed panic: panic", "failed root: wrong usage: unknown command",
		"failed succeed: wrong usage: unknown flag", "failed succeed: wrong usage: invalid value for --number",
		"failed whoami: wrong usage: too many arguments",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("recorded:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What was recorded offline arrives later, in order and once, as it was recorded.
func TestTwoPeopleOnOneMachineStayApart(t *testing.T) {
	t.Parallel()
	m := unflushed(t)
	m.Must("succeed")
	m.meet("ada")
	m.Login()
	m.Must("succeed")
	m.Must("logout")
	m.Must("succeed")
	m.meet("bob")
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
		what := commandOf(e)
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

func TestExportAndInspectShowWhatGoesOverTheWire(t *testing.T) {
	t.Parallel()
	m := unflushed(t)
	for range 3 {
		m.Must("succeed")
	}
	lines := strings.SplitAfter(m.Must("usage", "export").Stdout, "\n")
	second := m.Must("usage", "inspect", "2").Stdout
	m.Must("usage", "flush")
	commits := m.Posthog.Commits()
	if len(commits) != 3 || len(lines) != 4 {
		t.Fatalf("%d lines for %d messages, want 3", len(lines)-1, len(commits))
	}
	for i, c := range commits {
		if lines[i] != string(c.Raw)+"\n" {
			t.Errorf("line %d is\n%s\nand on the wire went\n%s", i, lines[i], c.Raw)
		}
	}
	var inspected bytes.Buffer
	if err := json.Compact(&inspected, []byte(second)); err != nil || strings.TrimSpace(inspected.String()) != string(commits[1].Raw) {
		t.Errorf("inspect printed\n%s\nand on the wire went\n%s", second, commits[1].Raw)
	}
}

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

func TestForgetGivesThisHomeANewIDAndLeavesNothingOfTheOld(t *testing.T) {
	t.Parallel()
	m := unflushed(t)
	m.Must("succeed")
	m.meet("ada")
	m.Login()
	before := m.Inspect().Identity.AnonID
	m.Must("usage", "report", "--no-browser")
	if r := m.Must("usage", "forget", "--yes"); !strings.Contains(r.Stdout, "Forgotten: this home's id and 3 waiting messages") {
		t.Errorf("it says %q", r.Stdout)
	}
	if found := m.Inspect(); found.Identity.AnonID != "" || len(found.Messages) > 0 {
		t.Errorf("%+v is still there", found)
	}
	entries, err := os.ReadDir(m.Path(""))
	m.Require(err)
	for _, entry := range entries {
		if strings.Contains(m.ReadFile(entry.Name()), before) || entry.Name() == "usage.json" {
			t.Errorf("%s still holds the old id", entry.Name())
		}
	}
	if r := m.Must("succeed"); r.Stderr != "" {
		t.Errorf("after forget a command says %q; the notice was shown before", r.Stderr)
	}
	m.Must("usage", "flush")
	found := m.Inspect()
	if found.Identity.AnonID == "" || found.Identity.AnonID == before {
		t.Errorf("the id is %q, before it was %q; want a new one", found.Identity.AnonID, before)
	}
	if p := found.Identity.LinkedPrincipalID; p == nil || *p != "principal-ada" {
		t.Error("who is still logged in is not asked for again")
	}
	m.NoViolations()
}
