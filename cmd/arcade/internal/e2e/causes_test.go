package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// cause is something between a command and its server, and what every command says of it: {server} is
// the Engine or Arcade Cloud.
type cause struct {
	address, proxy string
	says           string
	do             string // "" where it depends on the command
}

func causes(t *testing.T) map[string]cause {
	const far, checkProxy, portal = "https://api.example.com:8443", "Check HTTPS_PROXY and NO_PROXY.", "Log in to this network with a browser."
	serve := func(answer http.HandlerFunc) string {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		return "http://localhost:" + testbed.PortOf(server.URL)
	}
	status := func(code int) string {
		return serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://"+sentinel)
			w.WriteHeader(code)
			fmt.Fprint(w, sentinel)
		})
	}
	strange, _ := newProxy(t, strangeServer(t).URL, "")
	return map[string]cause{
		"a proxy that asks for a password": {far, status(407), "the proxy asks for a password",
			"Set HTTPS_PROXY to http://user:password@proxy:port."},
		"a proxy that forbids":        {far, status(403), "the proxy lets nothing through to {server} (HTTP 403)", checkProxy},
		"a proxy without a way there": {far, status(502), "the proxy lets nothing through to {server} (HTTP 502)", checkProxy},
		"a proxy that is not there": {far, "http://127.0.0.1:1",
			"the proxy lets nothing through to {server} (the proxy cannot be reached)", checkProxy},
		"an unknown authority": {far, strange, "{server}'s certificate was signed by an unknown authority",
			"If a proxy opens TLS, let SSL_CERT_FILE name its certificate"},
		"a certificate for another name": {"https://api.elsewhere.test:8443", strange,
			"the certificate that is shown for {server} is not valid (certificate for another name)",
			"and any proxy, or log in to this network with a browser."},
		"a network that wants a login": {status(511), "", "a page of this network answers in {server}'s place (HTTP 511)", portal},
		"a server in trouble":          {status(500), "", "{server} has trouble of its own (HTTP 500)", "Try again in a while."},
		"nobody who listens":           {"http://localhost:1", "", "{server} cannot be reached (connection refused)", ""},
		"a name that is not there":     {"https://nothing.invalid:443", "", "{server} cannot be reached (name not found)", ""},
		"a redirect":                   {status(302), "", "{server}'s address leads elsewhere (HTTP 302)", ""},
		"a page of the network": {serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, "<html>", sentinel)
		}), "", "a page of this network answers in {server}'s place (HTTP 200)", portal},
		"a connection that breaks": {serve(func(w http.ResponseWriter, _ *http.Request) {
			if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
				c.Close()
			}
		}), "", "the connection to {server} breaks before the answer is complete (connection closed early)", ""},
	}
}

// One fault has one sentence, whichever command meets it, and `usage` has the same about PostHog.
func TestEveryCommandNamesWhatStandsBetweenItAndItsServer(t *testing.T) {
	t.Parallel()
	for name, c := range causes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scheme, host, _ := strings.Cut(c.address, "://")
			host, port, _ := strings.Cut(host, ":")
			at := " --host " + host + " --port " + port
			tls := map[string]string{"http": " --no-tls", "https": " --tls"}[scheme]
			m := untracked(t).with("HTTPS_PROXY="+c.proxy, "ARCADE_API_KEY=")
			whoami := 0 // it shows what the file says
			if strings.Contains(c.says, "certificate") {
				whoami = 1 // which is no want of a network
			}
			for _, command := range []struct {
				line, server string
				code         int
			}{
				{"login --url " + c.address, host + ":" + port, 1},
				{"login --no-browser" + at, "Arcade Cloud", 1}, // before the login is there
				{"secret list" + at + tls, "the Engine", 1},
				{"secret set A=" + sentinel + at + tls, "the Engine", 1},
				{"org list", "Arcade Cloud", 1},
				{"project list", "Arcade Cloud", 1},
				{"whoami", "Arcade Cloud", whoami},
				{"whoami --json", "Arcade Cloud", whoami},
			} {
				verb, _, _ := strings.Cut(command.line, " ")
				if strings.HasPrefix(command.line, "login --url") && strings.HasSuffix(c.says, "(HTTP 200)") {
					continue // any page there is no installation
				}
				r := m.Run(strings.Fields(command.line)...)
				if strings.HasPrefix(command.line, "login --no-browser") {
					m.loggedInAt(c.address)
				}
				what, detail, _ := strings.Cut(strings.ReplaceAll(c.says, "{server}", command.server), " (")
				if r.Code != command.code || !strings.Contains(strings.ToLower(r.Stderr), strings.ToLower(what)) ||
					!strings.Contains(r.Stderr, detail) || !strings.Contains(r.Stderr, c.do) {
					t.Errorf("arcade %s ends with %d and says %q; want %d, %q, %q and %q",
						command.line, r.Code, r.Stderr, command.code, what, detail, c.do)
				}
				if strings.Contains(r.Stderr, "--") && (verb == "whoami" || verb == "org") {
					t.Errorf("arcade %s names a flag that does not help: %q", command.line, r.Stderr)
				}
				if verb == "whoami" && (!strings.Contains(r.Stdout, "ada@arcade.test") || strings.Contains(r.Stdout, "did not answer")) {
					t.Errorf("arcade %s: %q; want what the file says, and no word that Cloud was silent", command.line, r.Stdout)
				}
				if strings.Contains(r.Stderr+r.Stdout, sentinel) {
					t.Errorf("arcade %s repeats what somebody else said: %q", command.line, r.Stderr+r.Stdout)
				}
			}
		})
	}
}
