package e2e

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// Where a key goes is never a file's word: neither a secret's value nor the question whose key it is.
func TestAKeyGoesNowhereBecauseAFileSaysSo(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"an address of Arcade Cloud":          "{coordinator_url: EVIL}",
		"an address of an Engine":             "{engine_url: EVIL, coordinator_url: https://cloud.arcade.dev}",
		"a login there":                       "{coordinator_url: EVIL, {tokens}, {project}, user: {email: e}}",
		"a context":                           "{active_context: a, contexts: {a: {kind: cloud, engine_url: EVIL, coordinator_url: EVIL}}}",
		"a context with a key":                "{contexts: {a: {kind: cloud, engine_url: EVIL, api_key: k}}}",
		"a self-hosted context":               "{contexts: {a: {kind: self_hosted, engine_url: EVIL, coordinator_url: EVIL, api_key: k}}}",
		"a file of a newer program":           "{contexts: [{engine_url: EVIL}], coordinator_url: EVIL}",
		"a self-hosted context without a map": "{kind: self_hosted, engine_url: EVIL, coordinator_url: EVIL}",
	} {
		for _, mode := range []os.FileMode{0o600, 0o666} {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				m.Machine = m.Production()
				evil := m.anEngine(testbed.EngineKey) // which nobody has named but a file
				for _, file := range []string{"credentials.yaml", ".arcade/credentials.yaml"} {
					m.writeAt(file, m.fill("cloud: "+strings.ReplaceAll(content, "EVIL", evil.URL)+"\n"))
					path := filepath.Join(m.Home, filepath.FromSlash(file))
					m.Require(os.Chmod(path, mode))
					m.Require(os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)))
				}
				withKey := m.with("ARCADE_API_KEY=" + testbed.EngineKey)
				for _, home := range []string{"", "ARCADE_WORK_DIR=" + m.Home} {
					r := withKey.with(home).Run("secret", "set", "DB=hushhush")
					apart := strings.Contains(content, "self_hosted") || strings.Contains(content, "[{")
					if wrong := r.Code != 0; wrong != apart || apart && !strings.Contains(r.Stderr, "Set ARCADE_URL, or give --host api.arcade.dev.") {
						t.Errorf("%s: %+v; want production, and nothing at all beside a self-hosted context", home, r)
					}
				}
				withKey.Run("whoami")
				withKey.Run("usage", "flush")       // asks whose the key is
				for _, r := range evil.Requests() { // the file's own login is the file's matter
					if strings.Contains(r.Authorization, testbed.EngineKey) || r.Method == "PUT" {
						t.Errorf("the server that a file named got %+v", r)
					}
				}
			})
		}
	}
}

// The order of what may say where a credential goes, from the first to the last.
func TestWhereACredentialGoes(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Machine = m.Production()
	named, env, corp, other := m.anEngine(testbed.EngineKey), m.anEngine(testbed.EngineKey), m.anEngine("arc_corp"), m.anEngine("arc_other")
	contexts := "cloud:\n  active_context: ACTIVE\n  contexts:\n" +
		"    corp: {kind: self_hosted, engine_url: '" + corp.URL + "', api_key: arc_corp}\n" +
		"    other: {kind: cloud, engine_url: '" + other.URL + "/', api_key: arc_other}\n"
	const key = "ARCADE_API_KEY=" + testbed.EngineKey
	host := strings.Join(testbed.At(named.URL), " ")
	for _, c := range []struct {
		name, active string
		env, args    string
		want         *secretstest.Engine // nil for a refusal
		says         string
	}{
		{"the active context", "corp", "", "", corp, "This login's Engine is " + corp.URL},
		{"another active context", "other", "", "", other, "This login's Engine is " + other.URL},
		{"a context for one command", "corp", "ARCADE_CONTEXT=other", "", other, "This login's Engine is"},
		{"a context for one command beats a key", "corp", "ARCADE_CONTEXT=other " + key, "", other, ""},
		{"a context for one command beats an address alone", "corp", "ARCADE_CONTEXT=other ARCADE_URL=" + env.URL, "", other, ""},
		{"a context that there is not", "corp", "ARCADE_CONTEXT=nowhere", "", nil, "There are: corp, other."},
		{"a key alone", "other", key, "", m.Engine, "The key in ARCADE_API_KEY is used, and not the login."},
		{"a key alone beside a self-hosted context", "corp", key, "", nil, "Set ARCADE_URL, or give --host"},
		{"a key with its address", "corp", key + " ARCADE_URL=" + env.URL + "/", "", env, "The key in ARCADE_API_KEY is used"},
		{"a key with its address beats a context", "corp", "ARCADE_CONTEXT=other " + key + " ARCADE_URL=" + env.URL, "", env, ""},
		{"an address alone", "other", "ARCADE_URL=" + env.URL, "", nil, "Set both or neither"},
		{"a host beats an address", "corp", key + " ARCADE_URL=" + env.URL, host, named, ""},
		{"a host for a key beside a self-hosted context", "corp", key, host, named, ""},
		{"production by name for a key beside a self-hosted context", "corp", key, "--host api.arcade.dev", m.Engine, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.writeFile("credentials.yaml", strings.ReplaceAll(contexts, "ACTIVE", c.active))
			engines := map[*secretstest.Engine]int{}
			for _, e := range []*secretstest.Engine{named, env, corp, other, m.Engine} {
				engines[e] = len(e.Requests())
			}
			there := m.with("ARCADE_USAGE_TRACKING=0").with(strings.Fields(c.env)...)
			r := there.Run(append([]string{"secret", "set", "DB=x"}, strings.Fields(c.args)...)...)
			if (r.Code == 0) != (c.want != nil) || !strings.Contains(r.Stderr, c.says) {
				t.Errorf("%+v; want it to say %q", r, c.says)
			}
			for e, before := range engines {
				if came := len(e.Requests()) - before; came != 0 && e != c.want || came == 0 && e == c.want {
					t.Errorf("%d requests came to %s; wanted is %v", came, e.URL, c.want != nil && e == c.want)
				}
			}
		})
	}
}

// strangeServer has a certificate that nobody trusts. The handshakes that commands refuse are meant.
func strangeServer(t testing.TB) *httptest.Server {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// What cannot be right is no reason to keep a key unchecked.
func TestAKeyIsNotKeptForACloudThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, at := range map[string][]string{
		"a name that nobody has":           {"--host", "cloud.invalid"},
		"a certificate that nobody trusts": {"--host", thisMachine, "--port", testbed.PortOf(strangeServer(t).URL)},
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

// A name in foreign letters can look like another.
func TestForeignLettersInAnAddressAreShownAsTheyGoOverTheWire(t *testing.T) {
	t.Parallel()
	m := untracked(t).with("HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1")
	for _, credentials := range []string{
		"cloud: {{tokens}, user: {email: e}, {project}, coordinator_url: 'https://cloud.аrcade.dev:8443'}\n",
		"cloud: {contexts: {x: {kind: self_hosted, api_key: arc_x, engine_url: 'https://api.аrcade.dev:8443', " +
			"coordinator_url: 'https://cloud.аrcade.dev:8443', dashboard_url: 'https://аrcade.dev'}}}\n",
	} {
		m.writeFile("credentials.yaml", m.fill(credentials))
		shown := ""
		for _, command := range []string{"whoami", "whoami --json", "context list", "context list --json", "context show", "org list",
			"secret list", "secret set A=1", "secret list --no-tls --debug", "secret list --host api.аrcade.dev",
			"login --timeout 1", "login --host cloud.аrcade.dev", "login --url https://cloud.аrcade.dev", "logout"} {
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
