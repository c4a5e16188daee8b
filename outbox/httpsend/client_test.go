package httpsend

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

func client(url string) *Client {
	return &Client{URL: url, Transport: Transport(nil), Success: judge.Success, Refusals: judge.Refusals}
}

// serve answers one connection after the other with handle.
func serve(t *testing.T, handle func(net.Conn)) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go handle(c)
		}
	}()
	return "http://" + listener.Addr().String()
}

// unused is an address without a listener.
func unused(t *testing.T) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

// request reads one request to its end.
func request(c net.Conn) bool {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, r.Body)
	return true
}

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0) // Close sends RST
	c.Close()
}

const success = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + `{"ok":true}`

func TestNetworkErrorsHaveFixedWordsOnEverySystem(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	tests := map[string]struct {
		url          string
		handle       func(net.Conn)
		code, reason string
	}{
		"no process listens":    {unused(t), nil, outbox.CodeOffline, "connection refused"},
		"there is no such name": {"http://nothing.invalid", nil, outbox.CodeOffline, "name not found"},
		"the peer resets":       {"", func(c net.Conn) { request(c); reset(c) }, outbox.CodeBroken, "connection reset"},
		"the peer hangs up":     {"", func(c net.Conn) { request(c); c.Close() }, outbox.CodeBroken, "connection closed early"},
		"the answer breaks off": {"", func(c net.Conn) {
			request(c)
			io.WriteString(c, strings.Replace(success, "11", "99", 1))
			c.Close()
		}, outbox.CodeBroken, "connection closed early"},
		"the authority is unknown": {secure.URL, nil, outbox.CodeAuthority, "certificate signed by an unknown authority"},
		"the peer does not speak TLS": {strings.Replace(serve(t, func(c net.Conn) {
			io.WriteString(c, success)
			c.Close()
		}), "http", "https", 1), nil, outbox.CodeForeign, "something that does not speak TLS answered"},
		"a header without an end": {"", func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", headerLimit))
			c.Close()
		}, outbox.CodeBroken, "network error"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.handle != nil {
				test.url = serve(t, test.handle)
			}
			v, _ := client(test.url).Send(t.Context(), nil)
			if v.Outcome != outbox.Later || v.Code != test.code || v.Reason != test.reason {
				t.Errorf("the verdict is %+v, want %s, %q: a user looks that up in the docs", v, test.code, test.reason)
			}
		})
	}
}

func TestACertificateForAnotherNameIsNotTakenForAnUnknownAuthority(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	c := client(strings.Replace(server.URL, "127.0.0.1", "localhost", 1))
	c.Transport = server.Client().Transport // knows the authority, and "localhost" is not in the certificate
	if v, _ := c.Send(t.Context(), nil); v.Code != outbox.CodeCertificateName {
		t.Errorf("the verdict is %+v, want %s: the advice is another one", v, outbox.CodeCertificateName)
	}
}

func TestACertificateOutOfItsTimeSaysSo(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	for name, now := range map[string]time.Time{"expired": server.Certificate().NotAfter.Add(time.Hour), "not valid yet": server.Certificate().NotBefore.Add(-time.Hour)} {
		c := client(server.URL)
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Time = func() time.Time { return now }
		c.Transport = transport
		if v, _ := c.Send(t.Context(), nil); v.Code != outbox.CodeCertificate || !strings.Contains(v.Reason, name) {
			t.Errorf("%s: the verdict is %+v, want %s and the clock to be thought of", name, v, outbox.CodeCertificate)
		}
	}
}

func TestAProxysTroubleIsToldFromTheServers(t *testing.T) {
	gone := serve(t, func(c net.Conn) { c.Close() })
	connect := func(status string) string {
		return serve(t, func(c net.Conn) {
			request(c)
			io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
			c.Close()
		})
	}
	tests := map[string]struct{ proxy, target, code string }{
		"it asks for a password, with TLS":  {connect("407 Proxy Authentication Required"), "https://server.invalid", outbox.CodeProxyPassword},
		"it asks for a password, in plain":  {connect("407 Proxy Authentication Required"), "http://server.invalid", outbox.CodeProxyPassword},
		"it forbids":                        {connect("403 Forbidden"), "https://server.invalid", outbox.CodeProxy},
		"it forbids in its own words":       {connect("403 Blocked by the Ministry"), "https://server.invalid", outbox.CodeProxy},
		"it has trouble":                    {connect("500 Oops"), "https://server.invalid", outbox.CodeProxy},
		"it wants a password, in its words": {connect("407 Who are you?"), "https://server.invalid", outbox.CodeProxyPassword},
		"it has no way there":               {connect("502 Bad Gateway"), "https://server.invalid", outbox.CodeProxy},
		"it is not there":                   {unused(t), "https://server.invalid", outbox.CodeProxy},
		"it hangs up":                       {gone, "http://server.invalid", outbox.CodeBroken},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			proxy, err := url.Parse(test.proxy)
			if err != nil {
				t.Fatal(err)
			}
			proxy.User = url.UserPassword("hush", "hush")
			c := client(test.target)
			c.Transport.(*http.Transport).Proxy = http.ProxyURL(proxy)
			v, _ := c.Send(t.Context(), nil)
			if v.Outcome != outbox.Later || v.Code != test.code || strings.Contains(v.Reason, "hush") {
				t.Errorf("the verdict is %+v, want %s", v, test.code)
			}
		})
	}
}

// expiring is a context whose time is up when over is closed, at the server's word and not at a clock's.
type expiring struct {
	context.Context
	over chan struct{}
}

func (e expiring) Done() <-chan struct{} { return e.over }

func (e expiring) Err() error {
	select {
	case <-e.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestTheEndOfTheTimeEndsEveryWait(t *testing.T) {
	for name, partly := range map[string]string{
		"before the answer":    "",
		"in the header":        success[:20],
		"in the body":          success[:len(success)-3],
		"after the last batch": "",
	} {
		t.Run(name, func(t *testing.T) {
			ctx := expiring{t.Context(), make(chan struct{})}
			var once sync.Once
			c := client(serve(t, func(c net.Conn) {
				request(c)
				io.WriteString(c, partly)
				once.Do(func() { close(ctx.over) })
			}))
			if v, _ := c.Send(ctx, nil); v.Outcome != outbox.Fewer || v.Code != outbox.CodeTimeout {
				t.Errorf("the verdict is %+v, want fewer and %s: a smaller request may be answered in time", v, outbox.CodeTimeout)
			}
			interrupted, cancel := context.WithCancel(t.Context())
			cancel()
			if v, _ := c.Send(interrupted, nil); v.Outcome != outbox.Later || v.Code != outbox.CodeInterrupted {
				t.Errorf("after Ctrl-C the verdict is %+v, want %s: it says nothing about the server", v, outbox.CodeInterrupted)
			}
		})
	}
}

func TestATimeoutBeforeThereIsAConnectionAsksForNothingSmaller(t *testing.T) {
	c := client("http://server.invalid")
	c.Transport.(*http.Transport).Proxy = nil
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if v, _ := c.Send(ctx, nil); v.Outcome != outbox.Later || v.Code != outbox.CodeTimeout {
		t.Errorf("the verdict is %+v, want later and %s: behind a firewall that swallows everything size is no matter", v, outbox.CodeTimeout)
	}
}

func TestARequestOnADeadConnectionIsSentOnceMore(t *testing.T) {
	tests := map[string]struct {
		second   func(net.Conn) // what becomes of the second request on a connection
		requests int32          // in all, of two bodies
		want     outbox.Outcome
	}{
		"the server resets it":           {reset, 3, outbox.Accepted},
		"the server closes it":           {func(c net.Conn) { c.Close() }, 3, outbox.Accepted},
		"the server has begun to answer": {func(c net.Conn) { io.WriteString(c, success[:9]); reset(c) }, 2, outbox.Later},
		"the server answers":             {func(c net.Conn) { io.WriteString(c, success) }, 2, outbox.Accepted},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			c := client(serve(t, func(c net.Conn) {
				reader := bufio.NewReader(c)
				for act := func(c net.Conn) { io.WriteString(c, success) }; ; act = test.second {
					r, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					if body, _ := io.ReadAll(r.Body); string(body) != "body" {
						t.Errorf("the body is %q", body)
					}
					requests.Add(1)
					act(c)
				}
			}))
			for i, want := range []outbox.Outcome{outbox.Accepted, test.want} {
				if v, _ := c.Send(t.Context(), []byte("body")); v.Outcome != want {
					t.Errorf("body %d: %+v, want outcome %d", i+1, v, want)
				}
			}
			if n := requests.Load(); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

func TestAFreshConnectionThatBreaksIsNotTriedAgain(t *testing.T) {
	var connections atomic.Int32
	c := client(serve(t, func(c net.Conn) { connections.Add(1); request(c); reset(c) }))
	if v, _ := c.Send(t.Context(), []byte("body")); v.Code != outbox.CodeBroken || connections.Load() != 1 {
		t.Errorf("%+v after %d connections, want one: a server that resets each request must not get two", v, connections.Load())
	}
}

func TestNothingIsSentToAnAddressThatIsWrongInItself(t *testing.T) {
	c := client("http://127.0.0.1:1")
	c.Wrong = &outbox.Unusable{Code: outbox.CodeNoKey, Reason: "no key"}
	c.Transport = nil // would panic
	if v, _ := c.Send(t.Context(), nil); v.Outcome != outbox.Later || v.Code != outbox.CodeNoKey || v.Reason != "no key" {
		t.Errorf("the verdict is %+v, want what Check says", v)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	if v, _ := client(server.URL).Send(t.Context(), nil); v.Code != outbox.CodeRedirect || requests.Load() != 1 {
		t.Errorf("%+v after %d requests, want one", v, requests.Load())
	}
}
