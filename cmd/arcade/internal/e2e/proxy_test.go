package e2e

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// newProxy starts a proxy that connects every client to the server at target, and passes on which host each asked for. It accepts
// that Proxy-Authorization alone, "" for none. net/http sends what is for the machine itself to no proxy, so a test needs a name
// that only the proxy can resolve.
func newProxy(t testing.TB, target, auth string) (address string, asked chan string) {
	asked = make(chan string, 100)
	_, host, _ := strings.Cut(target, "://")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != auth {
			w.Header().Set("Proxy-Authenticate", `Basic realm="the office"`)
			http.Error(w, "log in first", http.StatusProxyAuthRequired)
			return
		}
		select {
		case asked <- r.RequestURI:
		default: // enough are known
		}
		server, err := net.Dial("tcp", host)
		if err != nil {
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
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL, asked
}
