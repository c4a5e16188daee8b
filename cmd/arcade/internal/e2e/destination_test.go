package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// evil counts what comes to a server that nobody has named but a file.
func (m *machine) evil() (*secretstest.Engine, string) {
	m.Helper()
	engine := secretstest.Start(testbed.EngineKey)
	m.Cleanup(engine.Close)
	return engine, engine.URL
}

// Where a key goes is never a file's word: neither a secret's value nor the question whose key it is.
func TestAKeyGoesNowhereBecauseAFileSaysSo(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"an address of Arcade Cloud":          "cloud: {coordinator_url: EVIL}\n",
		"an address of an Engine":             "cloud: {engine_url: EVIL, coordinator_url: https://cloud.arcade.dev}\n",
		"a login there":                       "cloud: {coordinator_url: EVIL, auth: {access_token: t, refresh_token: r, expires_at: 2090-01-01T00:00:00}, user: {email: e}, context: {org_id: o, org_name: o, project_id: p, project_name: p}}\n",
		"a context":                           "cloud: {active_context: a, contexts: {a: {kind: cloud, engine_url: EVIL, coordinator_url: EVIL}}}\n",
		"a context with a key":                "cloud: {contexts: {a: {kind: cloud, engine_url: EVIL, api_key: k}}}\n",
		"a self-hosted context":               "cloud: {contexts: {a: {kind: self_hosted, engine_url: EVIL, coordinator_url: EVIL, api_key: k}}}\n",
		"a file of a newer program":           "cloud: {contexts: [{engine_url: EVIL}], coordinator_url: EVIL}\n",
		"a self-hosted context without a map": "cloud: {kind: self_hosted, engine_url: EVIL, coordinator_url: EVIL}\n",
	} {
		for _, mode := range []os.FileMode{0o600, 0o666} {
			t.Run(name+" "+mode.String(), func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				m.Machine = m.Production()
				evil, address := m.evil()
				content := strings.ReplaceAll(content, "EVIL", address)
				old := time.Now().Add(-time.Hour)
				for _, name := range []string{"credentials.yaml", ".arcade/credentials.yaml"} {
					path := filepath.Join(m.Home, filepath.FromSlash(name))
					file(name, content)(m, nil)
					if err := os.Chmod(path, mode); err != nil {
						t.Fatal(err)
					}
					if err := os.Chtimes(path, old, old); err != nil {
						t.Fatal(err)
					}
				}
				for _, home := range []string{"", "ARCADE_WORK_DIR=" + m.Home} {
					there := m.With("ARCADE_API_KEY="+testbed.EngineKey, home)
					r := there.Run("secret", "set", "DB=hushhush")
					apart := strings.Contains(content, "self_hosted") || strings.Contains(content, "[{")
					if wrong := r.Code != 0; wrong != apart || apart && !strings.Contains(r.Stderr, "Set ARCADE_URL, or give --host api.arcade.dev.") {
						t.Errorf("%s: %+v; want production, and nothing at all beside a self-hosted context", home, r)
					}
				}
				there := m.With("ARCADE_API_KEY=" + testbed.EngineKey)
				there.Run("whoami")
				there.Run("usage", "flush")         // asks whose the key is
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
	named, env, corp, other := secretstest.Start(testbed.EngineKey), secretstest.Start(testbed.EngineKey), secretstest.Start("arc_corp"), secretstest.Start("arc_other")
	for _, e := range []*secretstest.Engine{named, env, corp, other} {
		t.Cleanup(e.Close)
	}
	contexts := "cloud:\n  active_context: ACTIVE\n  contexts:\n" +
		"    corp: {kind: self_hosted, engine_url: '" + corp.URL + "', api_key: arc_corp}\n" +
		"    other: {kind: cloud, engine_url: '" + other.URL + "/', api_key: arc_other}\n"
	host := []string{"--host", "localhost", "--port", testbed.PortOf(t, named.URL)}
	for _, c := range []struct {
		name, active string
		env          []string
		args         []string
		want         *secretstest.Engine // nil for a refusal
		says         string
	}{
		{"the active context", "corp", nil, nil, corp, "This login's Engine is " + corp.URL},
		{"another active context", "other", nil, nil, other, "This login's Engine is " + other.URL},
		{"a context for one command", "corp", []string{"ARCADE_CONTEXT=other"}, nil, other, "This login's Engine is"},
		{"a context for one command beats a key", "corp", []string{"ARCADE_CONTEXT=other", "ARCADE_API_KEY=" + testbed.EngineKey}, nil, other, ""},
		{"a context for one command beats an address alone", "corp", []string{"ARCADE_CONTEXT=other", "ARCADE_URL=" + env.URL}, nil, other, ""},
		{"a context that there is not", "corp", []string{"ARCADE_CONTEXT=nowhere"}, nil, nil, "There are: corp, other."},
		{"a key alone", "other", []string{"ARCADE_API_KEY=" + testbed.EngineKey}, nil, m.Engine, "The key in ARCADE_API_KEY is used, and not the login."},
		{"a key alone beside a self-hosted context", "corp", []string{"ARCADE_API_KEY=" + testbed.EngineKey}, nil, nil, "Set ARCADE_URL, or give --host"},
		{"a key with its address", "corp", []string{"ARCADE_API_KEY=" + testbed.EngineKey, "ARCADE_URL=" + env.URL + "/"}, nil, env, "The key in ARCADE_API_KEY is used"},
		{"a key with its address beats a context", "corp", []string{"ARCADE_CONTEXT=other", "ARCADE_API_KEY=" + testbed.EngineKey, "ARCADE_URL=" + env.URL}, nil, env, ""},
		{"an address alone", "other", []string{"ARCADE_URL=" + env.URL}, nil, nil, "Set both or neither"},
		{"a host beats an address", "corp", []string{"ARCADE_API_KEY=" + testbed.EngineKey, "ARCADE_URL=" + env.URL}, host, named, ""},
		{"a host for a key beside a self-hosted context", "corp", []string{"ARCADE_API_KEY=" + testbed.EngineKey}, host, named, ""},
		{"production by name for a key beside a self-hosted context", "corp", []string{"ARCADE_API_KEY=" + testbed.EngineKey}, []string{"--host", "api.arcade.dev"}, m.Engine, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.writeFile("credentials.yaml", strings.ReplaceAll(contexts, "ACTIVE", c.active))
			engines := map[*secretstest.Engine]int{}
			for _, e := range []*secretstest.Engine{named, env, corp, other, m.Engine} {
				engines[e] = len(e.Requests())
			}
			there := m.With(append([]string{"ARCADE_USAGE_TRACKING=0"}, c.env...)...)
			r := there.Run(append([]string{"secret", "set", "DB=x"}, c.args...)...)
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
