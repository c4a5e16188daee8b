//go:build unix

package fire

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// withPassword is the proxy's address with a user in it.
func withPassword(p *testbed.Proxy) string {
	return strings.Replace(p.URL, "http://", "http://ada:sesame@", 1)
}

const basicAdaSesame = "Basic YWRhOnNlc2FtZQ=="

// delivers runs a command, whose flusher gets these variables through its pipe, and waits until
// PostHog has n events in all.
func (m *machine) delivers(n int, env ...string) {
	m.Helper()
	m.with(env...).Must("succeed")
	m.AwaitEvents(n, time.Minute)
	m.AwaitNoFlusher()
	m.arrived(n)
}

// keeps is delivers where delivery is not possible, and says why.
func (m *machine) keeps(why string, env ...string) {
	m.Helper()
	m.with(env...).Must("succeed")
	m.AwaitNoFlusher()
	if n := m.count(outbox.Pending); n != 1 || m.attempts() != 0 {
		m.Errorf("%d pending after %d attempts, want the event to wait", n, m.attempts())
	}
	if got := m.Query(`SELECT coalesce(last_error, '') FROM delivery`); !strings.Contains(got, why) {
		m.Errorf("the last error is %q, want it to say %q", got, why)
	}
	if n := len(m.Posthog.Commits()); n != 0 {
		m.Errorf("PostHog has %d messages", n)
	}
}

func (m *machine) pemFile(content []byte) string {
	m.Helper()
	path := m.Home + "/authority.pem"
	if err := os.WriteFile(path, content, 0o600); err != nil {
		m.Fatal(err)
	}
	return path
}

func TestTortureNetworkPrivateAuthorityBehindAProxyThatWantsAPassword(t *testing.T) {
	t.Parallel()
	testbed.OnlyLinuxReadsSSLCertFile(t)
	m := newMachine(t)
	front := httptest.NewTLSServer(m.Posthog) // its certificate is for example.com
	t.Cleanup(front.Close)
	p := testbed.NewProxy(t, front.URL, testbed.ProxyRules{Host: "example.com:443", Auth: basicAdaSesame})
	m.PosthogAt = "https://example.com"
	authority := "SSL_CERT_FILE=" + m.pemFile(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}))

	m.keeps("HTTP 407", authority, "HTTPS_PROXY="+p.URL)
	m.later().delivers(2, authority, "HTTPS_PROXY="+withPassword(p))
}
