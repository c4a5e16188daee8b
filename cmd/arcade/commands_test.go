package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

func TestWhatIsNoErrorEndsWithZero(t *testing.T) {
	for _, args := range [][]string{nil, {"help"}, {"logout"}, {"usage"}, {"usage", "flush"}, {"usage", "inspect"}, {"usage", "clear", "--yes"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			if r := m.run(args...); r.code != 0 || strings.Contains(r.stderr, "Error") {
				t.Errorf("exit code %d, want 0; stderr:\n%s", r.code, r.stderr)
			}
		})
	}
}

func TestEveryCommandHasHelpWithExamples(t *testing.T) {
	a := newApp()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%q lacks a short description or an example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			if line = strings.TrimSuffix(line, "\n"); len([]rune(line)) > 80 {
				t.Errorf("the help of %q has a line that breaks on 80 columns: %q", cmd.CommandPath(), line)
			}
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(a.newRoot())
}

func TestCompletionExistsForFourShells(t *testing.T) {
	m := newMachine(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out := m.must("completion", shell).stdout; !strings.Contains(out, "arcade") {
			t.Errorf("the completion for %s is %q", shell, out)
		}
	}
	if out := m.must("__complete", "usage", "inspect", "--state", "").stdout; !strings.Contains(out, "delivered") {
		t.Errorf("--state completes to %q", out)
	}
}

func TestVersionIsOneLine(t *testing.T) {
	m := newMachine(t)
	if out := m.must("--version").stdout; !regexp.MustCompile(`^arcade version \S+\n$`).MatchString(out) {
		t.Errorf("--version says %q", out)
	}
}

// What is recorded, and what is not: looking at the queue must not change it.
func TestEveryEndingIsRecordedAndHelpIsNot(t *testing.T) {
	m := newMachine(t)
	m.offline()
	for _, args := range [][]string{
		{"succeed"}, {"fail", "x"}, {"panic", "x"}, {"nonsense"}, {"succeed", "--nonsense"}, {"succeed", "--number", "x"}, {"whoami", "x"},
	} {
		m.run(args...)
	}
	for _, args := range [][]string{
		nil, {"help"}, {"help", "usage"}, {"--help"}, {"succeed", "--help"}, {"--version"}, {"-v"},
		{"completion", "bash"}, {"__complete", ""}, {"usage"}, {"usage", "inspect"}, {"usage", "status"}, {"usage", "zzz"}, {"usage", "inspect", "--zzz"},
	} {
		m.run(args...)
	}
	var got []string
	for _, message := range m.inspect().Messages {
		var p properties
		if err := json.Unmarshal(message.Properties, &p); err != nil {
			t.Fatal(err)
		}
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

func TestCtrlCIsRecordedAsInterruptedWithExitCode130(t *testing.T) {
	m := newMachine(t)
	cmd := m.interruptible("wait")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() // if the test does not come to its end

	if _, err := stdout.Read(make([]byte, 1)); err != nil { // it waits
		t.Fatal(err)
	}
	if err := interrupt(cmd.Process); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("the exit code is %d, want 130", code)
	}
	if got := m.awaitEvents(1, 10*time.Second)[0].Properties()["error_message"]; got != "interrupted" {
		t.Errorf("the event says %v", got)
	}
}

func TestTheNoticeIsShownOnceAndBeforeNobodyIsAsked(t *testing.T) {
	m := newMachine(t)
	if r := m.run("usage", "status"); strings.Contains(r.stderr, notice) {
		t.Error("the notice came although nothing was recorded")
	}
	if r := m.run("succeed"); r.stderr != notice {
		t.Errorf("the first recorded command says %q", r.stderr)
	}
	if r := m.run("succeed"); r.stderr != "" {
		t.Errorf("the second one says %q", r.stderr)
	}
}

func TestLoginLogoutAndWhoami(t *testing.T) {
	m := newMachine(t)
	m.cloud.meet("ada")
	if r := m.login(); !strings.Contains(r.stdout, "logged in as ada@example.com") || strings.Contains(r.stdout+r.stderr, "arc_ada") {
		t.Errorf("login says %q %q: as whom, and never the key", r.stdout, r.stderr)
	}
	if info, err := os.Stat(m.path("credentials.yaml")); err != nil || !isPrivate(info) {
		t.Errorf("the credentials file: %v, %v", info, err)
	}
	if r := m.must("login"); !strings.Contains(r.stdout, "logged in as ada@example.com already") {
		t.Errorf("a second login says %q", r.stdout)
	}
	var who whoamiResult
	if err := json.Unmarshal([]byte(m.must("whoami", "--json").stdout), &who); err != nil {
		t.Fatal(err)
	}
	if *who.Email != "ada@example.com" || *who.PrincipalID != "principal-ada" || !strings.Contains(who.CloudURL, m.cloud.port()) {
		t.Errorf("whoami says %v %v %v", *who.Email, *who.PrincipalID, who.CloudURL)
	}
	m.must("logout")
	if _, err := os.Stat(m.path("credentials.yaml")); !os.IsNotExist(err) {
		t.Errorf("after logout the credentials are still there: %v", err)
	}
	if r := m.must("logout"); !strings.Contains(r.stdout, "not logged in") {
		t.Errorf("a second logout says %q", r.stdout)
	}
}

func TestLoginSucceedsWhenCloudIsSlowAndTheLinkIsMadeLater(t *testing.T) {
	m := newMachine(t)
	m.cloud.meet("ada")
	m.cloud.hang(true)
	m.must("succeed")
	if r := m.login(); r.took > 9*time.Second {
		t.Errorf("login took %s", r.took)
	}
	if got := m.inspect().Identity.LinkedPrincipalID; got != nil {
		t.Errorf("linked to %v, which nobody said", *got)
	}
	m.awaitNoFlusher()
	m.cloud.hang(false)
	m.must("succeed")
	m.awaitNoFlusher()
	m.must("usage", "flush")
	if got := m.inspect().Identity.LinkedPrincipalID; got == nil || *got != "principal-ada" {
		t.Errorf("linked to %v, want principal-ada", got)
	}
	m.noViolations()
	if len(m.posthog.Aliases()) != 1 {
		t.Errorf("%d aliases, want one", len(m.posthog.Aliases()))
	}
}

func TestAKeyInTheEnvironmentOwnsItsEventsAndLinksNothing(t *testing.T) {
	m := newMachine(t)
	m.cloud.meet("ci")
	m.writeCredentials("")
	m.must("succeed")
	m.awaitEvents(1, 10*time.Second)
	m.awaitNoFlusher()
	m.env = append(m.env, "ARCADE_API_KEY=arc_ci")
	m.must("succeed")
	m.must("succeed")
	events := m.awaitEvents(3, 10*time.Second)
	for _, e := range events[1:] {
		if e.DistinctID != "principal-ci" {
			t.Errorf("an event with the key in the environment belongs to %s", e.DistinctID)
		}
	}
	if n := len(m.posthog.Aliases()); n != 0 || m.inspect().Identity.LinkedPrincipalID != nil {
		t.Errorf("%d aliases, linked to %v: a key in the environment must do neither", n, m.inspect().Identity.LinkedPrincipalID)
	}
	if n := m.cloud.calls(); n != 1 {
		t.Errorf("Cloud was asked %d times about one key", n)
	}
	m.noViolations()
}

func TestInspectWithAnIDPrintsWhatGoesOverTheWire(t *testing.T) {
	m := newMachine(t)
	m.offline()
	m.must("succeed")
	m.awaitNoFlusher()
	printed := m.must("usage", "inspect", "1").stdout
	m.online()
	m.must("usage", "flush")
	var want, got any
	if err := json.Unmarshal([]byte(printed), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(m.posthog.Commits()[0].Raw, &want); err != nil {
		t.Fatal(err)
	}
	w, _ := json.Marshal(want)
	g, _ := json.Marshal(got)
	if string(w) != string(g) {
		t.Errorf("inspect printed\n%s\nand on the wire went\n%s", g, w)
	}
}

func TestFlushReportsForPeopleAndPrograms(t *testing.T) {
	m := newMachine(t)
	m.offline()
	m.must("succeed")
	m.awaitNoFlusher()
	var report flushResult
	r := m.run("usage", "flush", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatal(err)
	}
	if r.code != 1 || report.Pending != 1 || !strings.Contains(report.Error, "connection refused") || !strings.Contains(r.stderr, "connection refused") {
		t.Errorf("offline: exit code %d, %+v, stderr %q", r.code, report, r.stderr)
	}
	m.online()
	r = m.must("usage", "flush", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.Delivered != 1 || report.Pending != 0 || report.Error != "" || r.stderr != "" {
		t.Errorf("online: %+v, stderr %q", report, r.stderr)
	}
	if r := m.must("usage", "flush"); !strings.HasPrefix(r.stdout, "0 messages delivered in ") {
		t.Errorf("with nothing to do: %q", r.stdout)
	}
}

func TestUsageFromThePythonCLIGoesOnAsTheSamePerson(t *testing.T) {
	const file = "{\n  \"anon_id\": \"0f8fad5b-d9cb-469f-a165-70867728950e\",\n  \"linked_principal_id\": \"principal-py\"\n}"
	m := newMachine(t)
	if err := os.MkdirAll(m.path(""), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path("usage.json"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	m.must("succeed")
	if got := m.awaitEvents(1, 10*time.Second)[0].DistinctID; got != "principal-py" {
		t.Errorf("the event is %s's: nobody who comes from the Python CLI may become a new person", got)
	}
	if got := m.readFile("usage.json"); got != file {
		t.Errorf("usage.json became\n%s", got)
	}
}
