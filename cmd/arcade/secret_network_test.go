package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

// thisMachine is an address of this machine that does not count as loopback.
const thisMachine = "::ffff:0.0.0.0"

func TestAKeyTravelsWithoutTLSOnlyWhenAsked(t *testing.T) {
	const warning = "Warning: without TLS, the credentials and the secrets can be read on their way to [::ffff:0.0.0.0]:"
	tests := []struct {
		name         string
		flags        []string
		arrives      bool
		warned, says string
	}{
		{"to localhost it does, without a word", []string{"-h", "localhost"}, true, "", ""},
		{"to a loopback address it does with --no-tls, without a word", []string{"-h", "::ffff:127.0.0.1", "--no-tls"}, true, "", ""},
		{"elsewhere TLS is used", []string{"-h", thisMachine}, false, "", "it does not speak TLS\nIf that is right, use --no-tls."},
		{"elsewhere --no-tls is obeyed with a warning", []string{"-h", thisMachine, "--no-tls"}, true, warning, ""},
		{"--tls to localhost is obeyed", []string{"-h", "localhost", "--tls"}, false, "", "it does not speak TLS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			r := s.secret(append([]string{"set", "A=1"}, tt.flags...)...)
			if arrived := len(s.engine.Items()) == 1; arrived != tt.arrives || (r.code == 0) != tt.arrives {
				t.Errorf("exit code %d, arrived: %v, want %v; %s", r.code, arrived, tt.arrives, r.stderr)
			}
			if !tt.arrives && len(s.engine.Requests()) > 0 {
				t.Errorf("the Engine got %v, want nothing in the clear", s.engine.Requests())
			}
			if tt.warned == "" && strings.Contains(r.stderr, "Warning") || !strings.Contains(r.stderr, tt.warned) {
				t.Errorf("stderr is %q, want the warning %q", r.stderr, tt.warned)
			}
			if !strings.Contains(r.stderr, tt.says) {
				t.Errorf("stderr is %q, want %q in it", r.stderr, tt.says)
			}
		})
	}
}

// onlyLinuxReadsSSLCertFile skips a test where Go asks the system which certificates it trusts.
func onlyLinuxReadsSSLCertFile(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		t.Skip("the certificate of this test's server comes by SSL_CERT_FILE")
	}
}

func TestProxiesAndCertificatesComeFromTheEnvironment(t *testing.T) {
	engine := secretstest.StartTLS(engineKey)
	t.Cleanup(engine.Close)
	authority := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(authority, engine.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	trust := "SSL_CERT_FILE=" + authority

	t.Run("a certificate of an unknown authority is not trusted", func(t *testing.T) {
		s := newStage(t)
		r := s.secret("list", "-h", "[::ffff:127.0.0.1]", "-p", portOf(t, engine.URL))
		if r.code != exitFailure || !strings.Contains(r.stderr, "its TLS certificate is not trusted") {
			t.Errorf("exit code %d, %q; want the certificate to be refused", r.code, r.stderr)
		}
	})
	t.Run("SSL_CERT_FILE makes it trusted", func(t *testing.T) {
		onlyLinuxReadsSSLCertFile(t)
		s := newStage(t)
		s.env = append(s.env, trust)
		if r := s.secret("list", "-h", "[::ffff:127.0.0.1]", "-p", portOf(t, engine.URL)); r.code != 0 {
			t.Errorf("exit code %d, %s", r.code, r.stderr)
		}
	})
	t.Run("HTTPS_PROXY is used, and finds out nothing but the address", func(t *testing.T) {
		onlyLinuxReadsSSLCertFile(t)
		s, p := newStage(t), newProxy(t, engine.URL)
		s.env = append(s.env, trust, "HTTPS_PROXY="+p.URL)
		r := s.secret("set", "A="+sentinel, "-h", "example.com", "-p", "8443")
		if r.code != 0 {
			t.Errorf("exit code %d, %s", r.code, r.stderr)
		}
		if got := p.targets(); len(got) != 1 || got[0] != "CONNECT example.com:8443" {
			t.Errorf("the proxy was asked for %v, want CONNECT example.com:8443", got)
		}
	})
	t.Run("NO_PROXY goes past the proxy", func(t *testing.T) {
		s := newStage(t)
		p := newProxy(t, s.engine.URL)
		s.env = append(s.env, "HTTP_PROXY="+p.URL)
		s.secret("set", "A=1", "-h", thisMachine, "--no-tls")
		if got := p.targets(); len(got) != 1 {
			t.Fatalf("the proxy was asked for %v, want one request without NO_PROXY", got)
		}
		s.env = append(s.env, "NO_PROXY=0.0.0.0")
		r := s.secret("set", "A=1", "-h", thisMachine, "--no-tls")
		if got := p.targets(); len(got) != 1 || r.code != 0 {
			t.Errorf("the proxy was asked for %v, exit code %d, %s; want to go past it", got, r.code, r.stderr)
		}
	})
	t.Run("a proxy that is not there is named", func(t *testing.T) {
		s := newStage(t)
		s.env = append(s.env, "HTTPS_PROXY=http://me:"+sentinel+"@127.0.0.1:1")
		r := s.secret("list", "-h", "example.com")
		if r.code != exitFailure || !strings.Contains(r.stderr, "the proxy cannot be reached.\nCheck HTTPS_PROXY.") {
			t.Errorf("exit code %d, %q; want to be told about the proxy", r.code, r.stderr)
		}
		if strings.Contains(r.stderr, sentinel) {
			t.Errorf("the proxy's password is repeated: %q", r.stderr)
		}
	})
}

// proxy is a proxy that brings everybody to the same server.
type proxy struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newProxy(t *testing.T, target string) *proxy {
	p := &proxy{}
	address := strings.TrimPrefix(strings.TrimPrefix(target, "https://"), "http://")
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.Method+" "+r.RequestURI)
		p.mu.Unlock()
		if r.Method == http.MethodConnect {
			tunnel(w, address)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *proxy) targets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func tunnel(w http.ResponseWriter, address string) {
	there, err := net.Dial("tcp", address)
	if err != nil {
		http.Error(w, "no", http.StatusBadGateway)
		return
	}
	defer there.Close()
	w.WriteHeader(http.StatusOK)
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	go io.Copy(there, buffered)
	io.Copy(here, there)
}
