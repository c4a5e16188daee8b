package e2e

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// cause is something between a command and its server, and what every command says of it: {server} is
// the Engine or Arcade Cloud.
type cause struct {
	name string
	make func(t *testing.T) (address string, env []string)
	says string
	do   string // "" where it depends on the command
}

func causes() []cause {
	const far = "https://api.example.com:8443"
	proxy := func(target string, rules testbed.ProxyRules) func(*testing.T) (string, []string) {
		return func(t *testing.T) (string, []string) {
			return far, []string{"HTTPS_PROXY=" + testbed.NewProxy(t, target, rules).URL}
		}
	}
	near := func(handler http.HandlerFunc) func(*testing.T) (string, []string) {
		return func(t *testing.T) (string, []string) {
			server := httptest.NewServer(handler)
			t.Cleanup(server.Close)
			return "http://localhost:" + testbed.PortOf(t, server.URL), nil
		}
	}
	const nowhere = "http://127.0.0.1:1"
	return []cause{
		{"a proxy that asks for a password", proxy(nowhere, testbed.ProxyRules{Auth: "Basic x"}), "the proxy asks for a password",
			"Set HTTPS_PROXY to http://user:password@proxy:port."},
		{"a proxy that forbids", proxy(nowhere, testbed.ProxyRules{Sick: 403}), "the proxy lets nothing through to {server} (HTTP 403)",
			"Check HTTPS_PROXY and NO_PROXY."},
		{"a proxy without a way there", proxy(nowhere, testbed.ProxyRules{Sick: 502}), "the proxy lets nothing through to {server} (HTTP 502)",
			"Check HTTPS_PROXY and NO_PROXY."},
		{"a proxy that is not there", func(*testing.T) (string, []string) { return far, []string{"HTTPS_PROXY=" + nowhere} },
			"the proxy lets nothing through to {server} (the proxy cannot be reached)", "Check HTTPS_PROXY and NO_PROXY."},
		{"an unknown authority", func(t *testing.T) (string, []string) {
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // of commands that refuse its certificate
			server.StartTLS()
			t.Cleanup(server.Close)
			return proxy(server.URL, testbed.ProxyRules{})(t)
		}, "{server}'s certificate was signed by an unknown authority", "If a proxy opens TLS, let SSL_CERT_FILE name its certificate"},
		{"a certificate for another name", func(t *testing.T) (string, []string) {
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // of commands that refuse its certificate
			server.StartTLS()
			t.Cleanup(server.Close)
			_, env := proxy(server.URL, testbed.ProxyRules{})(t)
			return "https://api.elsewhere.test:8443", env
		}, "the certificate that is shown for {server} is not valid (certificate for another name)",
			"and any proxy, or log in to this network with a browser."},
		{"a network that wants a login", near(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNetworkAuthenticationRequired)
		}), "a page of this network answers in {server}'s place (HTTP 511)", "Log in to this network with a browser."},
		{"a server in trouble", near(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, sentinel)
		}), "{server} has trouble of its own (HTTP 500)", "Try again in a while."},
		{"nobody who listens", func(*testing.T) (string, []string) { return "http://localhost:1", nil }, "{server} cannot be reached (connection refused)", ""},
		{"a name that is not there", func(*testing.T) (string, []string) { return "https://nothing.invalid:443", nil }, "{server} cannot be reached (name not found)", ""},
		{"a page of the network", near(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<html>", sentinel)
		}), "a page of this network answers in {server}'s place (HTTP 200)", "Log in to this network with a browser."},
		{"a redirect", near(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+sentinel, http.StatusFound)
		}),
			"{server}'s address leads elsewhere (HTTP 302)", ""},
		{"a connection that breaks", near(func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				c.Close()
			}
		}), "the connection to {server} breaks before the answer is complete (connection closed early)", ""},
	}
}

// One fault has one sentence, whichever command meets it, and `usage` has the same about PostHog.
func TestEveryCommandNamesWhatStandsBetweenItAndItsServer(t *testing.T) {
	t.Parallel()
	for _, c := range causes() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newMachine(t)
			address, env := c.make(t)
			scheme, host, _ := strings.Cut(address, "://")
			host, port, _ := strings.Cut(host, ":")
			s.Env = append(append(s.Env, "ARCADE_USAGE_TRACKING=0", "ARCADE_API_KEY="), env...)
			kept := 0 // whoami shows what the file says
			if strings.Contains(c.says, "certificate") {
				kept = 1 // which is no want of a network
			}
			commands := []struct {
				args   []string
				server string
				code   int
			}{
				{[]string{"login", "--url", address}, host + ":" + port, 1},
				{[]string{"login", "--no-browser", "--host", host, "--port", port}, "Arcade Cloud", 1}, // before the login is there
				{[]string{"secret", "list", "--host", host, "--port", port, "--" + map[string]string{"http": "no-tls", "https": "tls"}[scheme]}, "the Engine", 1},
				{[]string{"secret", "set", "A=" + sentinel, "--host", host, "--port", port, "--" + map[string]string{"http": "no-tls", "https": "tls"}[scheme]}, "the Engine", 1},
				{[]string{"org", "list"}, "Arcade Cloud", 1},
				{[]string{"project", "list"}, "Arcade Cloud", 1},
				{[]string{"whoami"}, "Arcade Cloud", kept},
				{[]string{"whoami", "--json"}, "Arcade Cloud", kept},
			}
			for _, command := range commands {
				if command.args[0] == "login" && command.args[1] == "--url" && strings.HasSuffix(c.says, "(HTTP 200)") {
					continue // any page there is no installation
				}
				if command.args[0] == "login" && command.args[1] != "--url" && scheme == "https" && host == "localhost" {
					s.loggedInAt(address) // login asks localhost without TLS
					continue
				}
				r := s.Run(command.args...)
				what := strings.ReplaceAll(c.says, "{server}", command.server)
				what, detail, _ := strings.Cut(what, " (")
				said := strings.ToLower(r.Stderr)
				if r.Code != command.code || !strings.Contains(said, strings.ToLower(what)) || !strings.Contains(r.Stderr, detail) || !strings.Contains(r.Stderr, c.do) {
					t.Errorf("arcade %q ends with %d and says %q; want %d, %q, %q and %q", command.args, r.Code, r.Stderr, command.code, what, detail, c.do)
				}
				if flag := strings.Contains(r.Stderr, "--"); flag && (command.args[0] == "whoami" || command.args[0] == "org") {
					t.Errorf("arcade %q names a flag that does not help: %q", command.args, r.Stderr)
				}
				if command.args[0] == "whoami" && (!strings.Contains(r.Stdout, "ada@arcade.test") || strings.Contains(r.Stdout, "did not answer")) {
					t.Errorf("arcade %q: %q; want what the file says, and no word that Cloud was silent", command.args, r.Stdout)
				}
				if strings.Contains(r.Stderr+r.Stdout, sentinel) {
					t.Errorf("arcade %q repeats what somebody else said: %q", command.args, r.Stderr+r.Stdout)
				}
				if command.args[0] == "login" && command.args[1] != "--url" {
					s.loggedInAt(address)
				}
			}
		})
	}
}

// loggedInAt leaves a login of the Arcade Cloud at address.
func (s *machine) loggedInAt(address string) {
	s.Helper()
	const login = `cloud:
  auth: {access_token: tok, expires_at: '2099-11-25T12:00:01.787976', refresh_token: ref}
  context: {org_id: o, org_name: O, project_id: p, project_name: P}
  coordinator_url: %s
  user: {email: ada@arcade.test}
`
	s.Require(os.MkdirAll(s.Path(""), 0o700))
	s.Require(os.WriteFile(s.Path("credentials.yaml"), fmt.Appendf(nil, login, address), 0o600))
}
