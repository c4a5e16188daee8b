package e2e

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// A process that is killed between the answer and the file takes the new tokens with it.
func TestTwentyBehindOneThatWasKilledShowTheUsedTokenOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cloud := m.OAuth(testbed.Ada())
	if r := loginAt(m, cloud); r.Code != 0 {
		t.Fatalf("login: %+v", r)
	}
	m.expire()
	killed := m.Command("org", "list")
	killed.Env = append(killed.Env, testbed.TestKillAt+"=renewed")
	m.Finish(killed)
	renewals := cloud.Count(identitytest.TokenPath)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if r := m.Run("org", "list"); r.Code != 1 || !strings.Contains(r.Stderr, "your login has ended.\nRun 'arcade login --host localhost:") {
				t.Errorf("org list: %+v; want to be told to log in, and where", r)
			}
		})
	}
	wg.Wait()
	if n := cloud.Count(identitytest.TokenPath) - renewals; n != 1 {
		t.Errorf("the used refresh token was shown %d times more, want once", n)
	}
	if r := loginAt(m, cloud); r.Code != 0 {
		t.Errorf("the next login: %+v", r)
	}
	m.expire()
	m.Must("org", "list")
}

// Arcade's staff tells the versions apart by it, and this program from the Python one.
func TestRequestsToArcadeSayWhoAsks(t *testing.T) {
	t.Parallel()
	m, cloud := loggedIn(t)
	m.Must("org", "list")
	said := map[string]http.Header{}
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said["the Engine"] = r.Header.Clone()
		fmt.Fprint(w, `{"items": []}`)
	}))
	defer engine.Close()
	m.Must("secret", "list", "--host", "localhost", "--port", testbed.PortOf(t, engine.URL))
	for _, path := range []string{identitytest.ConfigPath, identitytest.TokenPath, identitytest.WhoAmIPath, identitytest.OrgsPath} {
		said[path] = cloud.Header(path)
	}
	m.WriteCredentials("arc_somebody") // a flusher asks whose that is
	m.Must("succeed")
	m.Eventually("Arcade Cloud is asked", func() bool { return m.Cloud.Calls() > 0 })
	said["a flusher"] = m.Cloud.Header(identitytest.ValidatePath)
	for who, header := range said {
		if agent, version := header.Get("User-Agent"), header.Get("X-Arcade-CLI-Version"); agent != "arcade-cli-go/dev" || version != "dev" {
			t.Errorf("%s was asked by %q of the version %q, want arcade-cli-go/dev and dev", who, agent, version)
		}
	}
}

// What cannot be right is no reason to keep a key unchecked.
func TestAKeyIsNotKeptForACloudThatCannotBe(t *testing.T) {
	t.Parallel()
	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	other.Config.ErrorLog = log.New(io.Discard, "", 0) // the refused handshake is meant
	other.StartTLS()
	defer other.Close()
	for name, at := range map[string][]string{
		"a name that nobody has":           {"--host", "cloud.invalid"},
		"a certificate that nobody trusts": {"--host", thisMachine, "--port", testbed.PortOf(t, other.URL)},
	} {
		m := newMachine(t)
		r := m.RunWith("arc_x", append([]string{"login", "--with-key"}, at...)...)
		if r.Code != 1 || !strings.Contains(r.Stderr, "--host") || strings.Contains(r.Stderr, "unchecked") {
			t.Errorf("%s: %+v; want an error", name, r)
		}
		if r := m.Run("whoami"); r.Code != 1 || !strings.Contains(r.Stderr, "not logged in") {
			t.Errorf("%s: afterwards whoami says %+v; want nothing to be kept", name, r)
		}
	}
}

// A server's own trouble is no matter of the network, and is named beside a key that is kept all the same.
func TestAKeyIsKeptForACloudInTrouble(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		500: "Warning: Arcade Cloud has trouble of its own (HTTP 500). Try again in a while.\n",
		503: "Warning: Arcade Cloud has trouble of its own (HTTP 503). Try again in a while.\n",
		429: "Warning: Arcade Cloud asks to be left alone for a while (HTTP 429). Try again in a while.\n",
		404: "Warning: Arcade Cloud answered with HTTP status 404. Check --host, then run the command again.\n",
	} {
		m := newMachine(t)
		cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		defer cloud.Close()
		r := m.RunWith("arc_x", "login", "--with-key", "--host", "localhost", "--port", testbed.PortOf(t, cloud.URL))
		if r.Code != 0 || !strings.Contains(r.Stderr, want) || !strings.Contains(r.Stderr, "unchecked") {
			t.Errorf("with HTTP %d: %+v; want the key to be kept, and %q", status, r, want)
		}
	}
}

// A login does not help where the key beats it; what was named for this command may be wrong, too.
func TestAKeyThatTheEngineRefusesIsAdvisedAsAKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url  string
		args []string
		want string
	}{
		"alone":           {"", nil, "Check ARCADE_API_KEY, or unset it.\n"},
		"with --host":     {"", []string{"--host", "localhost", "--port"}, "Check ARCADE_API_KEY and --host, or unset the key.\n"},
		"with ARCADE_URL": {"ARCADE_URL=", nil, "Check ARCADE_API_KEY and ARCADE_URL, or unset both.\n"},
	} {
		m := newMachine(t)
		m.Engine.Inject(secretstest.Fault{Mode: secretstest.Status, Status: 401})
		env := []string{"ARCADE_API_KEY=arc_x", "ARCADE_URL=", testbed.TestProduction + "=api.arcade.dev=" + m.Engine.URL}
		if c.url != "" {
			env[1] = c.url + m.Engine.URL
		}
		args := append([]string{"secret", "list"}, c.args...)
		if c.args != nil {
			args = append(args, m.EnginePort())
		}
		r := m.With(env...).Run(args...)
		if r.Code != 1 || !strings.Contains(r.Stderr, c.want) || strings.Contains(r.Stderr, "login") {
			t.Errorf("%s: %+v; want %q", name, r, c.want)
		}
	}
}

// The commands that read only the login are not told of the key that they do not read alone.
func TestALoginFileOfAnotherUserHasAWayOutForEveryCommand(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.loggedInAt("http://localhost:1")
	if os.Getuid() == 0 {
		m.Require(os.Chown(m.Path("credentials.yaml"), 12345, 12345))
	} else {
		m.Require(errors.Join(os.Remove(m.Path("credentials.yaml")), os.Symlink("/etc/passwd", m.Path("credentials.yaml"))))
	}
	const want = "Set ARCADE_WORK_DIR to a directory of your own and run 'arcade login'; 'arcade secret' also takes ARCADE_API_KEY.\n"
	for _, command := range []string{"org", "org list", "project list", "secret list", "whoami"} {
		r := m.With("ARCADE_API_KEY=", "ARCADE_URL=").Run(strings.Fields(command)...)
		if r.Code != 1 || !strings.Contains(r.Stderr, "is not yours alone") || !strings.Contains(r.Stderr, want) {
			t.Errorf("arcade %s: %+v; want %q", command, r, want)
		}
	}
}

func TestWhoamiSaysWhatIsInForceAndWhetherThatWorks(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, "ARCADE_USAGE_TRACKING=0", "HTTPS_PROXY=http://127.0.0.1:1") // nobody gets to the real one
	m.Cloud.Meet("ada")
	const behindProxy = "Warning: The proxy lets nothing through to Arcade Cloud (the proxy cannot be reached)."
	for name, c := range map[string]struct {
		credentials string
		env         []string
		args        []string
		code        int
		stdout      string
		stderr      string
	}{
		"a key that nobody can be asked about": {"", []string{"ARCADE_API_KEY=arc_x"}, nil, 0, "it was not checked, since Arcade Cloud gave no usable answer\n", behindProxy},
		"a key without a home":                 {"", []string{"ARCADE_API_KEY=arc_x", "HOME="}, nil, 0, "ARCADE_API_KEY is set", behindProxy},
		"a key beside a damaged login":         {"[", []string{"ARCADE_API_KEY=arc_x"}, nil, 0, "ARCADE_API_KEY is set", "Warning: the credentials file is damaged."},
		"a login that nobody can be asked about": {"cloud: {api: {key: arc_x}, coordinator_url: 'http://127.0.0.1:1'}\n", nil, nil, 0,
			"was not checked, since Arcade Cloud gave no usable answer (an API key)\n", "Warning: Arcade Cloud cannot be reached (connection refused)."},
		"a login that nobody was to be asked about": {"cloud: {api: {key: arc_x}, coordinator_url: 'http://127.0.0.1:1'}\n", nil, []string{"--offline"}, 0,
			"was not checked (an API key)\n", ""},
	} {
		m.writeFile("credentials.yaml", c.credentials)
		r := m.With(c.env...).Run(append([]string{"whoami"}, c.args...)...)
		if r.Code != c.code || !strings.Contains(r.Stdout, c.stdout) || !strings.HasPrefix(r.Stderr, c.stderr) || c.stderr == "" && r.Stderr != "" {
			t.Errorf("%s: whoami ends with %d and says\n%s%s\nwant %d, %q and %q", name, r.Code, r.Stdout, r.Stderr, c.code, c.stdout, c.stderr)
		}
	}
}

// A name in foreign letters can look like another.
func TestForeignLettersInAnAddressAreShownAsTheyGoOverTheWire(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Env = append(m.Env, "ARCADE_USAGE_TRACKING=0", "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1")
	const (
		cloud = "cloud: {auth: {access_token: t, refresh_token: r, expires_at: 2090-01-01T00:00:00}, user: {email: e}, " +
			"context: {org_id: o, org_name: o, project_id: p, project_name: p}, coordinator_url: 'https://cloud.аrcade.dev:8443'}\n"
		onprem = "cloud: {contexts: {x: {kind: self_hosted, api_key: arc_x, engine_url: 'https://api.аrcade.dev:8443', " +
			"coordinator_url: 'https://cloud.аrcade.dev:8443', dashboard_url: 'https://аrcade.dev'}}}\n"
	)
	for _, credentials := range []string{cloud, onprem} {
		m.writeFile("credentials.yaml", credentials)
		shown := ""
		for _, command := range []string{"whoami", "whoami --json", "context list", "context list --json", "context show", "org list",
			"secret list", "secret set A=1", "secret list --no-tls --debug", "secret list --host api.аrcade.dev", "login --timeout 1", "login --host cloud.аrcade.dev",
			"login --url https://cloud.аrcade.dev", "logout"} {
			r := m.Run(strings.Fields(command)...)
			if strings.ContainsFunc(r.Stdout+r.Stderr, func(c rune) bool { return c > '~' }) {
				t.Errorf("arcade %s shows %q; want no foreign letters", command, r.Stdout+r.Stderr)
			}
			shown += r.Stdout + r.Stderr
		}
		for _, want := range []string{"https://cloud.xn--rcade-3ve.dev:8443", "api.xn--rcade-3ve.dev:8443"} {
			if !strings.Contains(shown, want) {
				t.Errorf("nothing shows %s", want)
			}
		}
	}
}
