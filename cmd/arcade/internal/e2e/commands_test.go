package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// What is recorded, and what is not: looking at the queue must not change it.
func TestEveryEndingIsRecordedAndHelpIsNot(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, testbed.Flusher)
	for _, args := range [][]string{
		{"succeed"}, {"fail", "x"}, {"panic", "x"}, {"nonsense"}, {"succeed", "--nonsense"}, {"succeed", "--number", "x"}, {"whoami", "x"},
	} {
		m.Run(args...)
	}
	for _, args := range [][]string{
		nil, {"help"}, {"help", "usage"}, {"--help"}, {"succeed", "--help"}, {"--version"}, {"-v"},
		{"completion", "bash"}, {"__complete", ""}, {"usage"}, {"usage", "inspect"}, {"usage", "status"}, {"usage", "zzz"}, {"usage", "inspect", "--zzz"},
	} {
		m.Run(args...)
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

func TestCompletionOffersWhatFitsAndNoFiles(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, testbed.Flusher)
	m.Must("succeed")
	m.Must("usage", "flush")
	m.Posthog.SetResults(func(outboxtest.Message) string { return "drop:rejected" })
	m.Must("succeed")
	m.Must("usage", "flush")
	m.Run("fail")
	const noFiles = 4 // cobra's number
	tests := []struct {
		line      string
		want      string
		directive int
	}{
		{"whoami", "", noFiles},
		{"usage status", "", noFiles},
		{"usage inspect", "1\tsucceed, delivered\n2\tsucceed, dead\n3\tfail, pending\n", noFiles | 32}, // in this order
		{"usage inspect 1", "", noFiles | 32},
		{"usage retry", "2\tsucceed, dead\n", noFiles | 32},
		{"secret set --env-file", "", 0}, // the shell's own files
		{"secret set -f", "", 0},
	}
	for _, test := range tests {
		got := m.Must(append(append([]string{"__complete"}, strings.Fields(test.line)...), "")...).Stdout
		if want := fmt.Sprintf("%s:%d\n", test.want, test.directive); got != want {
			t.Errorf("behind %q completion offers\n%s\nwant\n%s", test.line, got, want)
		}
	}
}

func TestTheNoticeSaysWhereEventsGo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if r := m.Run("succeed"); !strings.Contains(r.Stderr, "sends that to "+m.PosthogAt+":\n") {
		t.Errorf("the notice is %q; want the address", r.Stderr)
	}
	for _, lacking := range []string{"ARCADE_USAGE_KEY=", "ARCADE_USAGE_HOST=https://somebody:secret@127.0.0.1:9/to?token=secret"} {
		m = newMachine(t)
		m.Env = append(m.Env, lacking)
		r := m.Run("succeed")
		if !strings.Contains(r.Stderr, "keeps that on this machine") || strings.Contains(r.Stderr, "sends") || strings.Contains(r.Stderr, "secret") {
			t.Errorf("with %s the notice is %q; nothing is sent", lacking, r.Stderr)
		}
	}
}

func TestFlushReportsForPeopleAndPrograms(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Offline()
	m.Must("succeed")
	m.AwaitNoFlusher()
	var report cli.FlushResult
	r := m.Run("usage", "flush", "--json")
	m.Require(json.Unmarshal([]byte(r.Stdout), &report))
	if r.Code != 1 || report.Pending != 1 || !strings.Contains(report.Error, "connection refused") || !strings.Contains(r.Stderr, "connection refused") {
		t.Errorf("offline: exit code %d, %+v, stderr %q", r.Code, report, r.Stderr)
	}
	m.Online()
	r = m.Must("usage", "flush", "--json")
	m.Require(json.Unmarshal([]byte(r.Stdout), &report))
	if report.Delivered != 1 || report.Pending != 0 || report.Error != "" || r.Stderr != "" {
		t.Errorf("online: %+v, stderr %q", report, r.Stderr)
	}
	if r := m.Must("usage", "flush"); !strings.HasPrefix(r.Stdout, "Nothing was left to deliver.") {
		t.Errorf("with nothing to do: %q", r.Stdout)
	}
}

// What a file or a server says is shown, and no terminal obeys it.
func TestForeignTextIsCleanedInEveryCommand(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, "ARCADE_USAGE_TRACKING=0")
	m.Cloud.Meet("ada")
	m.WriteCredentials("arc_ada")
	const evil = `\x1b]0;owned\a\x1b[2J\u202e`
	content := strings.Replace(m.ReadFile("credentials.yaml"), "  coordinator_url:", "  user: {email: \"a"+evil+"da\\nCloud: elsewhere\"}\n  coordinator_url:", 1)
	m.writeFile("credentials.yaml", content)
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
