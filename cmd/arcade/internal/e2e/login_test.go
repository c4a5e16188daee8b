package e2e

import (
	"bufio"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

// Who reads only the first line, as `login | head -1` does, is logged in all the same.
func TestTheBrowserIsToldOfALoginThatIsKeptWhoeverReads(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.meet("ada")
	cmd := m.Command(append([]string{"login", "--no-browser"}, testbed.At(m.Cloud.URL)...)...)
	out, err := cmd.StdoutPipe()
	m.Require(err)
	m.Require(cmd.Start())
	var address string
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.HasPrefix(lines.Text(), "Waiting"); {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "http") {
			address = line
		}
	}
	out.Close()
	status, page, err := identitytest.Browse(address)
	if err != nil || status != 200 || !strings.Contains(page, "You are logged in to Arcade.") {
		t.Errorf("the browser shows %d, %q, %v; want that the login is kept", status, page, err)
	}
	if cmd.Wait(); !strings.Contains(m.ReadFile("credentials.yaml"), "ada@example.com") {
		t.Error("the login was not kept")
	}
}

// The hint comes before the login gives up, however busy the machine is.
func TestABrowserThatShowsNothingLeadsToTheOtherWays(t *testing.T) {
	t.Parallel()
	m := newMachine(t).with("BROWSER=true", testbed.TestPatience+"=1ms")
	m.meet("ada")
	cmd := m.Command(append([]string{"login"}, testbed.At(m.Cloud.URL)...)...)
	said, err := cmd.StderrPipe()
	m.Require(err)
	m.Require(cmd.Start())
	text := ""
	for lines := bufio.NewScanner(said); !strings.Contains(text, "ssh -L") && lines.Scan(); {
		text += lines.Text() + " "
	}
	cmd.Process.Kill()
	cmd.Wait()
	if !strings.HasPrefix(text, "Nothing has come from the browser yet.") || !strings.Contains(text, "ssh -L") {
		t.Errorf("login says %q; want the other ways before it gives up", text)
	}
}

func TestOneOfManyProcessesRenewsAndAllSucceed(t *testing.T) {
	t.Parallel()
	m, onprem := both(t)
	m.expire()
	onprem.Override(identitytest.TokenPath, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(300 * time.Millisecond)
		onprem.Answer(w, r)
	})
	old, renewals := m.ReadFile("credentials.yaml"), onprem.Count(identitytest.TokenPath)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if r := m.Run("project", "list"); r.Code != 0 {
				t.Errorf("project list: exit code %d\n%s", r.Code, r.Stderr)
			}
		})
	}
	wg.Wait()
	if n := onprem.Count(identitytest.TokenPath) - renewals; n != 1 {
		t.Errorf("%d renewals, want exactly one: a second use of a refresh token ends the login", n)
	}
	if m.ReadFile("credentials.yaml") == old {
		t.Error("the file has the old tokens")
	}
}

// The file is what it was, or says all of the change, wherever the process dies.
func TestAWriteThatIsKilledLeavesOneOfTheTwoStates(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{
		"a login":              "login --context third --url ",
		"a renewal":            "whoami",
		"another organization": "org set org_2",
		"another project":      "project set proj_2",
		"another context":      "context set default",
		"a logout":             "logout",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, point := range []string{"reserved", "filled", "replaced"} {
				m, onprem := both(t)
				onprem.Set(func(b *identitytest.Behaviour) { b.ForgiveReuse = true })
				at, command := point, strings.Fields(args)
				switch name {
				case "a renewal":
					m.expire()
				case "a login":
					command = append(command, onprem.URL)
					if point == "reserved" { // it makes room once before it asks
						at += "#2"
					}
				}
				before := m.ReadFile("credentials.yaml")
				if r := m.with(testbed.TestKillAt + "=" + at).Run(command...); r.Code == 0 {
					t.Fatalf("at %q the process was not killed: %+v", point, r)
				}
				if changed := m.ReadFile("credentials.yaml") != before; changed != (point == "replaced") {
					t.Errorf("killed at %q: the file was changed: %v; want the old one until the new one is whole and in its place",
						point, changed)
				}
				m.Must("whoami")
				m.Must("context", "set", "default") // under the lock, which died with its process
				if left, _ := filepath.Glob(m.Path(".credentials.yaml.*")); len(left) > 0 {
					t.Errorf("killed at %q: the next write leaves %v", point, left)
				}
			}
		})
	}
}

// A flusher asks with a token that is good, or not at all.
func TestAFlusherNeverRenewsAndNeverAsksWithADeadToken(t *testing.T) {
	t.Parallel()
	m := loggedIn(t)
	m.AwaitNoFlusher()
	m.expire()
	m.edit("ada@example.com", "bob@example.com") // as the Python CLI would: nothing is known of this login here
	tokens, whoami := m.Cloud.Count(identitytest.TokenPath), m.Cloud.Count(identitytest.WhoAmIPath)
	for range 3 {
		m.Must("succeed")
		m.AwaitNoFlusher()
	}
	tokens, whoami = m.Cloud.Count(identitytest.TokenPath)-tokens, m.Cloud.Count(identitytest.WhoAmIPath)-whoami
	if tokens+whoami != 0 {
		t.Errorf("%d renewals and %d questions by flushers, want none", tokens, whoami)
	}
}

// loggedInAt leaves a login of the Arcade Cloud at address.
func (m *machine) loggedInAt(address string) {
	m.Helper()
	m.writeFile("credentials.yaml", `cloud:
  auth: {access_token: tok, expires_at: '2099-11-25T12:00:01.787976', refresh_token: ref}
  context: {org_id: o, org_name: O, project_id: p, project_name: P}
  coordinator_url: `+address+`
  user: {email: ada@arcade.test}
`)
}
