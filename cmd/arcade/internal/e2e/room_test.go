// Package e2e runs the program as a process, command by command.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// sentinel stands for a value that nobody may see.
const sentinel = "sentinel-0123456789-value"

// machine is the testbed's, with what this room asks of it.
type machine struct{ *testbed.Machine }

// newMachine is one with a modern terminal.
func newMachine(t testing.TB) *machine {
	m := &machine{testbed.NewMachine(t)}
	return m.with("TERM=xterm-256color", "LANG=C.UTF-8")
}

// with returns the same machine with more in the environment of its commands.
func (m *machine) with(env ...string) *machine { return &machine{m.Machine.With(env...)} }

// unflushed is a machine whose commands start no flusher.
func unflushed(t testing.TB) *machine { return newMachine(t).with(testbed.Flusher) }

// untracked is a machine whose commands record nothing.
func untracked(t testing.TB) *machine { return newMachine(t).with("ARCADE_USAGE_TRACKING=0") }

// offlineEvent leaves an event that waits for PostHog, which is gone.
func (m *machine) offlineEvent() {
	m.Helper()
	m.Offline()
	m.Must("succeed")
	m.AwaitNoFlusher()
}

// everyState is a machine with a linked account and a message in each state: delivered, dead and pending.
func everyState(t *testing.T) *machine {
	t.Helper()
	m := unflushed(t)
	const mirror = `{"anon_id": "3f2a9c1e-7b54-4d0a-9e1f-5c8d2a6b4e10", "linked_principal_id": "0f8fad5b-d9cb-469f-a165-70867728950e"}`
	m.writeFile("usage.json", mirror)
	m.Must("succeed")
	m.Must("usage", "flush") // only a server that has accepted something may refuse
	m.refusing(func() {
		m.Must("succeed")
		m.Must("usage", "flush")
	})
	m.Run("secret", "list", "--host", "localhost", "--port", "1")
	return m
}

// refusing lets PostHog refuse each message for good while do runs.
func (m *machine) refusing(do func()) {
	m.answerEach("drop:rejected")
	do()
	m.answerEach("")
}

// answerEach lets PostHog have this result for each message; "" is an acceptance.
func (m *machine) answerEach(result string) {
	m.Posthog.SetResults(func(outboxtest.Message) string { return result })
}

// writeFile writes a file in Arcade's directory.
func (m *machine) writeFile(name, content string) {
	m.Helper()
	m.writeAt(filepath.Join(".arcade", name), content)
}

// writeAt writes a file of the home.
func (m *machine) writeAt(name, content string) {
	m.Helper()
	path := filepath.Join(m.Home, filepath.FromSlash(name))
	m.Require(os.MkdirAll(filepath.Dir(path), 0o700))
	m.Require(os.WriteFile(path, []byte(content), 0o600))
}

// opened opens a file until the test ends.
func (m *machine) opened(path string, flags int) *os.File {
	m.Helper()
	f, err := os.OpenFile(path, flags, 0o600)
	m.Require(err)
	m.Cleanup(func() { f.Close() })
	return f
}

// meet puts a person in front of the browser: any, or one without an organization or a project. Of Ada's projects two have one name.
func (m *machine) meet(name string) {
	m.Meet(name)
	account := testbed.Account(name)
	switch name {
	case "ada":
		for _, id := range []string{"proj_4", "proj_5"} {
			account.Orgs[0].Projects = append(account.Orgs[0].Projects, identitytest.Project{ID: id, Name: "Twin"})
		}
	case "without an organization":
		account.Orgs = nil
	case "without a project":
		account.Orgs = []identitytest.Org{{ID: "org_9", Name: "Empty"}}
	}
	m.Cloud.Meet(account)
}

// loggedIn is a machine on which Ada has logged in.
func loggedIn(t testing.TB) *machine {
	t.Helper()
	m := newMachine(t)
	m.meet("ada")
	m.Login()
	t.Cleanup(func() {
		for _, v := range m.Cloud.Violations() {
			t.Errorf("Arcade Cloud saw: %s", v)
		}
	})
	return m
}

// onprem is an installation of Ada's company, where she is known by another id.
func (m *machine) onprem() *identitytest.Cloud {
	m.Helper()
	cloud := m.NewCloud()
	ada := testbed.Account("onprem")
	ada.Email = "ada@corp.example"
	cloud.Meet(ada)
	cloud.Set(func(b *identitytest.Behaviour) { b.Engine = m.Engine.URL })
	return cloud
}

// both is a machine that is logged in to Arcade Cloud, and then to the installation.
func both(t testing.TB) (m *machine, onprem *identitytest.Cloud) {
	t.Helper()
	m = loggedIn(t)
	onprem = m.onprem()
	m.Must("login", "--url", onprem.URL+"/", "--context", "onprem")
	return m, onprem
}

// edit replaces what a pattern finds in the credentials.
func (m *machine) edit(pattern, replacement string) {
	m.Helper()
	old, expression := m.ReadFile("credentials.yaml"), regexp.MustCompile(pattern)
	if !expression.MatchString(old) {
		m.Fatalf("the credentials have no %s:\n%s", pattern, old)
	}
	m.writeFile("credentials.yaml", expression.ReplaceAllString(old, replacement))
}

// expire makes the token in the credentials file one that ended an hour ago.
func (m *machine) expire() {
	m.Helper()
	m.edit(`expires_at: .*`, "expires_at: '"+time.Now().Add(-time.Hour).Format("2006-01-02T15:04:05.000000")+"'")
}

// spoilRefreshToken makes the refresh token one that was never handed out.
func (m *machine) spoilRefreshToken() {
	m.Helper()
	m.edit(`refresh_token: .*`, "refresh_token: "+sentinel)
}

// anEngine starts one more Engine, which accepts that token.
func (m *machine) anEngine(token string) *secretstest.Engine {
	engine := secretstest.Start(token)
	m.Cleanup(engine.Close)
	return engine
}

// secretCommand prepares `arcade secret args...` for the machine's Engine, with its key and without tracking.
func (m *machine) secretCommand(args ...string) *exec.Cmd {
	m.Helper()
	there := m.with("ARCADE_USAGE_TRACKING=0", "ARCADE_API_KEY="+testbed.EngineKey)
	return there.Command(append(append([]string{"secret"}, testbed.At(m.Engine.URL)...), args...)...)
}

// commandOf is the command that an event tells of.
func commandOf(e outboxtest.Commit) string { return fmt.Sprint(e.Properties()["command_name"]) }

// inOneLine is a text without the places where it was broken.
func inOneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
