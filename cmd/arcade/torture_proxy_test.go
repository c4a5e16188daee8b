//go:build unix

package main

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// relay is an HTTP proxy that knows one host by name; net/http sends what is for the machine
// itself to no proxy, so PostHog needs a name that only the proxy can resolve.
type relay struct {
	*httptest.Server
	host   string // its name and port
	target string // where it really is
	auth   string // the Proxy-Authorization that is asked for; "" is none
	sick   int    // a status that everything is answered with; 0 is none

	mu      sync.Mutex
	through int // requests and tunnels that were let through
	refused int
}

func (p *relay) start(t testing.TB) *relay {
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *relay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ok := r.Host == p.host && r.Header.Get("Proxy-Authorization") == p.auth && p.sick == 0
	p.mu.Lock()
	if ok {
		p.through++
	} else {
		p.refused++
	}
	p.mu.Unlock()
	switch {
	case p.sick != 0:
		w.WriteHeader(p.sick)
		io.WriteString(w, `<html>{"status": "Ok"}</html>`)
	case r.Host != p.host:
		http.Error(w, "no such host", http.StatusBadGateway)
	case !ok:
		w.Header().Set("Proxy-Authenticate", `Basic realm="the office"`)
		http.Error(w, "who are you?", http.StatusProxyAuthRequired)
	case r.Method == http.MethodConnect:
		p.tunnel(w)
	default:
		(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", p.target
		}}).ServeHTTP(w, r)
	}
}

// tunnel carries bytes both ways until one side ends.
func (p *relay) tunnel(w http.ResponseWriter) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		http.Error(w, "it is not there", http.StatusBadGateway)
		return
	}
	defer server.Close()
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go io.Copy(server, client)
	io.Copy(client, server)
}

func (p *relay) counts() (through, refused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.through, p.refused
}

// withPassword is the proxy's URL with a user in it.
func (p *relay) withPassword() string {
	return strings.Replace(p.URL, "http://", "http://ada:sesame@", 1)
}

const basicAdaSesame = "Basic YWRhOnNlc2FtZQ=="

// delivers runs a command, whose flusher gets these variables through its pipe, and waits until
// PostHog has n events in all.
func (m *machine) delivers(n int, env ...string) {
	m.Helper()
	m.with(env...).must("succeed")
	m.awaitEvents(n, 15*time.Second)
	m.awaitNoFlusher()
	m.arrived(n)
}

// keeps is delivers where delivery is not possible, and says why.
func (m *machine) keeps(why string, env ...string) {
	m.Helper()
	m.with(env...).must("succeed")
	m.awaitNoFlusher()
	if n := m.count(outbox.Pending); n != 1 || m.attempts() != 0 {
		m.Errorf("%d pending after %d attempts, want the event to wait", n, m.attempts())
	}
	if got := m.query(`SELECT coalesce(last_error, '') FROM delivery`); !strings.Contains(got, why) {
		m.Errorf("the last error is %q, want it to say %q", got, why)
	}
	if n := len(m.posthog.Commits()); n != 0 {
		m.Errorf("PostHog has %d messages", n)
	}
}

func TestTortureNetworkBehindAProxy(t *testing.T) {
	behind := func(t *testing.T, p *relay) (*machine, *relay) {
		m := newMachine(t)
		p.host, p.target = "posthog.test", strings.TrimPrefix(m.posthogAt, "http://")
		m.posthogAt = "http://posthog.test"
		return m, p.start(t)
	}
	t.Run("it delivers", func(t *testing.T) {
		m, p := behind(t, &relay{})
		m.delivers(1, "HTTP_PROXY="+p.URL)
		if through, _ := p.counts(); through != 1 {
			t.Errorf("%d requests went through the proxy, want one", through)
		}
	})
	t.Run("that wants a password", func(t *testing.T) {
		m, p := behind(t, &relay{auth: basicAdaSesame})
		m.keeps("407", "HTTP_PROXY="+p.URL)
		if through, refused := p.counts(); through != 0 || refused != 1 {
			t.Errorf("%d requests through, %d refused; want one refused", through, refused)
		}
		m.later().delivers(2, "HTTP_PROXY="+p.withPassword())
	})
	t.Run("that answers everything itself", func(t *testing.T) {
		for _, status := range []int{200, 302, 502} {
			m, p := behind(t, &relay{sick: status})
			m.keeps("", "HTTP_PROXY="+p.URL)
		}
	})
	t.Run("that is gone", func(t *testing.T) {
		m, p := behind(t, &relay{})
		p.Close()
		m.keeps("connection refused", "HTTP_PROXY="+p.URL)
	})
}

func TestTortureNetworkPrivateAuthority(t *testing.T) {
	trustworthy(t)
	m := newMachine(t)
	m.posthog.Close()
	if err := m.posthog.ListenTLS("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	m.posthogAt = m.posthog.URL()
	m.keeps("unknown authority")
	m.later().delivers(2, "SSL_CERT_FILE="+m.pemFile(m.posthog.CAPEM()))
}

// trustworthy skips where Go does not read SSL_CERT_FILE: there the system's own store decides.
func trustworthy(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("macOS has a certificate store of its own")
	}
}

func (m *machine) pemFile(content []byte) string {
	m.Helper()
	path := m.home + "/authority.pem"
	if err := os.WriteFile(path, content, 0o600); err != nil {
		m.Fatal(err)
	}
	return path
}

func TestTortureNetworkPrivateAuthorityBehindAProxyThatWantsAPassword(t *testing.T) {
	trustworthy(t)
	m := newMachine(t)
	front := httptest.NewTLSServer(m.posthog) // its certificate is for example.com
	t.Cleanup(front.Close)
	target, err := url.Parse(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := (&relay{host: "example.com:443", target: target.Host, auth: basicAdaSesame}).start(t)
	m.posthogAt = "https://example.com"
	authority := "SSL_CERT_FILE=" + m.pemFile(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}))

	m.keeps("the proxy asks for a password", authority, "HTTPS_PROXY="+p.URL)
	m.later().delivers(2, authority, "HTTPS_PROXY="+p.withPassword())
}
