package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// thisMachine is an address of this machine that does not count as loopback.
const thisMachine = "::ffff:0.0.0.0"

func TestAKeyTravelsWithoutTLSOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	const warning = "Warning: without TLS, the credentials and the secrets can be read on their way to [::ffff:0.0.0.0]:"
	tests := []struct {
		name         string
		flags        []string
		arrives      bool
		warned, says string
	}{
		{"to localhost it does, without a word", []string{"-h", "localhost"}, true, "", ""},
		{"to a loopback address it does with --no-tls, without a word", []string{"-h", "::ffff:127.0.0.1", "--no-tls"}, true, "", ""},
		{"elsewhere TLS is used", []string{"-h", thisMachine}, false, "", "something that does not speak TLS answered"},
		{"elsewhere --no-tls is obeyed with a warning", []string{"-h", thisMachine, "--no-tls"}, true, warning, ""},
		{"--tls to localhost is obeyed", []string{"-h", "localhost", "--tls"}, false, "", "--no-tls"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newMachine(t)
			r := s.secret(append([]string{"set", "A=1"}, tt.flags...)...)
			if arrived := len(s.Engine.Items()) == 1; arrived != tt.arrives || (r.Code == 0) != tt.arrives {
				t.Errorf("exit code %d, arrived: %v, want %v; %s", r.Code, arrived, tt.arrives, r.Stderr)
			}
			if !tt.arrives && len(s.Engine.Requests()) > 0 {
				t.Errorf("the Engine got %v, want nothing in the clear", s.Engine.Requests())
			}
			if tt.warned == "" && strings.Contains(r.Stderr, "Warning") || !strings.Contains(r.Stderr, tt.warned) {
				t.Errorf("stderr is %q, want the warning %q", r.Stderr, tt.warned)
			}
			if !strings.Contains(r.Stderr, tt.says) {
				t.Errorf("stderr is %q, want %q in it", r.Stderr, tt.says)
			}
		})
	}
}

func TestProxiesAndCertificatesComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	engine := secretstest.StartTLS(testbed.EngineKey)
	t.Cleanup(engine.Close)
	authority := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(authority, engine.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	trust := "SSL_CERT_FILE=" + authority

	t.Run("SSL_CERT_FILE makes it trusted", func(t *testing.T) {
		testbed.OnlyLinuxReadsSSLCertFile(t)
		s := newMachine(t)
		s.Env = append(s.Env, trust)
		if r := s.secret("list", "-h", "[::ffff:127.0.0.1]", "-p", testbed.PortOf(t, engine.URL)); r.Code != 0 {
			t.Errorf("exit code %d, %s", r.Code, r.Stderr)
		}
	})
	t.Run("what the Python CLI reads makes it trusted, unless SSL_CERT_FILE is set", func(t *testing.T) {
		testbed.OnlyLinuxReadsSSLCertFile(t)
		none := filepath.Join(t.TempDir(), "none.pem") // no authority is in it
		if err := os.WriteFile(none, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			env  string
			code int
		}{
			{"REQUESTS_CA_BUNDLE=" + authority, 0},
			{"CURL_CA_BUNDLE=" + authority, 0},
			{"REQUESTS_CA_BUNDLE=" + filepath.Dir(authority), 0},
			{"REQUESTS_CA_BUNDLE=" + authority + " CURL_CA_BUNDLE=" + none, 0},
			{"REQUESTS_CA_BUNDLE=" + none + " CURL_CA_BUNDLE=" + authority, 1},
			{"REQUESTS_CA_BUNDLE=" + authority + " SSL_CERT_FILE=" + none, 1},
			{"CURL_CA_BUNDLE=" + none + " " + trust, 0},
			{"REQUESTS_CA_BUNDLE= CURL_CA_BUNDLE=", 1},
		} {
			s := newMachine(t)
			s.Env = append(s.Env, strings.Fields(c.env)...)
			if r := s.secret("list", "-h", "[::ffff:127.0.0.1]", "-p", testbed.PortOf(t, engine.URL)); r.Code != c.code {
				t.Errorf("%s: exit code %d, want %d; %s", c.env, r.Code, c.code, r.Stderr)
			}
		}
		for _, name := range []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} {
			s := newMachine(t)
			s.Env = append(s.Env, name+"="+none+".missing")
			r := s.secret("list", "-h", "[::ffff:127.0.0.1]", "-p", testbed.PortOf(t, engine.URL))
			if want := "Warning: the file that " + name + " names cannot be used: "; r.Code != 1 || !strings.HasPrefix(r.Stderr, want) {
				t.Errorf("%s names no file: %+v; want %q", name, r, want)
			}
		}
	})
	t.Run("HTTPS_PROXY is used, and finds out nothing but the address", func(t *testing.T) {
		testbed.OnlyLinuxReadsSSLCertFile(t)
		s, p := newMachine(t), testbed.NewProxy(t, engine.URL, testbed.ProxyRules{})
		s.Env = append(s.Env, trust, "HTTPS_PROXY="+p.URL)
		r := s.secret("set", "A="+sentinel, "-h", "example.com", "-p", "8443")
		if r.Code != 0 {
			t.Errorf("exit code %d, %s", r.Code, r.Stderr)
		}
		if got := p.Passed(); len(got) != 1 || got[0] != "CONNECT example.com:8443" {
			t.Errorf("the proxy was asked for %v, want CONNECT example.com:8443", got)
		}
	})
	t.Run("NO_PROXY goes past the proxy", func(t *testing.T) {
		s := newMachine(t)
		p := testbed.NewProxy(t, s.Engine.URL, testbed.ProxyRules{})
		s.Env = append(s.Env, "HTTP_PROXY="+p.URL)
		s.secret("set", "A=1", "-h", thisMachine, "--no-tls")
		if got := p.Passed(); len(got) != 1 {
			t.Fatalf("the proxy was asked for %v, want one request without NO_PROXY", got)
		}
		s.Env = append(s.Env, "NO_PROXY=0.0.0.0")
		r := s.secret("set", "A=1", "-h", thisMachine, "--no-tls")
		if got := p.Passed(); len(got) != 1 || r.Code != 0 {
			t.Errorf("the proxy was asked for %v, exit code %d, %s; want to go past it", got, r.Code, r.Stderr)
		}
	})
}
