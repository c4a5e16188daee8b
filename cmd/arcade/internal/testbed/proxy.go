package testbed

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// PortOf is the port in an address.
func PortOf(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// OnlyLinuxReadsSSLCertFile skips a test where Go asks the system which certificates it trusts.
func OnlyLinuxReadsSSLCertFile(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		t.Skip("the certificate of this test's server comes by SSL_CERT_FILE")
	}
}

// Proxy is an HTTP proxy that brings everybody to the same server. net/http sends what is for the
// machine itself to no proxy, so a test needs a name that only the proxy can resolve.
type Proxy struct {
	*httptest.Server
	ProxyRules
	target string
	mu     sync.Mutex
	passed []string
}

// ProxyRules say what a proxy lets through. The zero ProxyRules let everything through.
type ProxyRules struct {
	Host string // the only name and port that it knows; "" is any
	Auth string // the Proxy-Authorization that is asked for; "" for none
	Sick int    // a status that everything is answered with; 0 for none
}

// NewProxy starts a proxy before the server at that address.
func NewProxy(t testing.TB, target string, rules ProxyRules) *Proxy {
	p := &Proxy{ProxyRules: rules, target: strings.TrimPrefix(strings.TrimPrefix(target, "https://"), "http://")}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// Passed returns what was let through, such as "CONNECT example.com:443".
func (p *Proxy) Passed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.passed)
}

// ServeHTTP is the proxy's.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case p.Sick != 0:
		http.Error(w, "<html>", p.Sick)
		return
	case p.Host != "" && r.Host != p.Host:
		http.Error(w, "no such host", http.StatusBadGateway)
		return
	case p.Auth != "" && r.Header.Get("Proxy-Authorization") != p.Auth:
		w.Header().Set("Proxy-Authenticate", `Basic realm="the office"`)
		http.Error(w, "log in first", http.StatusProxyAuthRequired)
		return
	}
	p.mu.Lock()
	p.passed = append(p.passed, r.Method+" "+r.RequestURI)
	p.mu.Unlock()
	if r.Method == http.MethodConnect {
		p.tunnel(w)
		return
	}
	(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", p.target
	}}).ServeHTTP(w, r)
}

// tunnel carries bytes both ways until one side ends.
func (p *Proxy) tunnel(w http.ResponseWriter) {
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
