package testbed

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Proxy is an HTTP proxy that brings everybody to the same server. net/http sends what is for the
// machine itself to no proxy, so a test needs a name that only the proxy can resolve.
type Proxy struct {
	*httptest.Server
	target, auth string
	mu           sync.Mutex
	passed       []string
}

// NewProxy starts a proxy before the server at that address. It asks for that Proxy-Authorization, if it is not "".
func NewProxy(t testing.TB, target, auth string) *Proxy {
	_, host, _ := strings.Cut(target, "://")
	p := &Proxy{target: host, auth: auth}
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
	if p.auth != "" && r.Header.Get("Proxy-Authorization") != p.auth {
		w.Header().Set("Proxy-Authenticate", `Basic realm="the office"`)
		http.Error(w, "log in first", http.StatusProxyAuthRequired)
		return
	}
	p.mu.Lock()
	p.passed = append(p.passed, r.Method+" "+r.RequestURI)
	p.mu.Unlock()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		http.Error(w, "it is not there", http.StatusBadGateway)
		return
	}
	defer server.Close()
	welcome := "HTTP/1.1 200 Connection established\r\n\r\n"
	if r.Method != http.MethodConnect {
		welcome = ""
		r.Close = true // the next request is to come here, too
		r.Write(server)
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	io.WriteString(client, welcome)
	go io.Copy(server, client)
	io.Copy(client, server)
}
