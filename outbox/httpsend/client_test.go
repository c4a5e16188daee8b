package httpsend

import (
	"bufio"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

const success = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + acknowledgement

func client(url string) *Client {
	return &Client{URL: url, Transport: Transport(nil), Success: judge.Success, Refusals: judge.Refusals}
}

// through is a client behind a proxy that has a password in its address.
func through(t *testing.T, proxy, target string) *Client {
	t.Helper()
	address, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("hush", "hush")
	c := client(target)
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(address)
	return c
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

// says is a server that reads a request, answers so and hangs up.
func says(t *testing.T, answer string) (url string) {
	t.Helper()
	return serve(t, func(c net.Conn) {
		read(c)
		io.WriteString(c, answer)
		c.Close()
	})
}

// read reads one request to its end.
func read(c net.Conn) {
	if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0) // Close sends RST
	c.Close()
}

func TestWhatStandsBetweenAClientAndItsServerHasACodeAndFixedWords(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that refuse its certificate
	secure.StartTLS()
	defer secure.Close()
	trusting := func(host string, now time.Time) *Client {
		c := client(strings.Replace(secure.URL, "127.0.0.1", host, 1))
		transport := secure.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Time = func() time.Time { return now }
		c.Transport = transport
		return c
	}
	plain := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1<<16)) // the client's hello
		io.WriteString(c, success)
		_, _ = io.Copy(io.Discard, c) // until the client hangs up
		c.Close()
	})
	resets := serve(t, func(c net.Conn) { read(c); reset(c) })
	const nowhere, far = "http://127.0.0.1:1", "https://server.invalid"
	connect := func(answer string) *Client {
		return through(t, says(t, "HTTP/1.1 "+answer+"\r\nContent-Length: 0\r\n\r\n"), far)
	}
	for name, test := range map[string]struct {
		client       *Client
		code, reason string
		wait         time.Duration
	}{
		"no process listens":          {client(nowhere), outbox.CodeOffline, "connection refused", 0},
		"there is no such name":       {client("http://nothing.invalid"), outbox.CodeOffline, "name not found", 0},
		"the peer resets":             {client(resets), outbox.CodeBroken, "connection reset", 0},
		"the peer hangs up":           {client(says(t, "")), outbox.CodeBroken, "connection closed early", 0},
		"the answer breaks off":       {client(says(t, strings.Replace(success, "11", "99", 1))), outbox.CodeBroken, "connection closed early", 0},
		"the answer is no HTTP":       {client(says(t, "SSH-2.0-OpenSSH_9.2\r\n")), outbox.CodeBroken, "network error", 0},
		"the peer does not speak TLS": {client(strings.Replace(plain, "http", "https", 1)), outbox.CodeForeign, "something that does not speak TLS answered", 0},

		"the authority is unknown":          {client(secure.URL), outbox.CodeAuthority, "certificate signed by an unknown authority", 0},
		"the certificate is for another":    {trusting("localhost", time.Now()), outbox.CodeCertificateName, "certificate for another name", 0},
		"the certificate has expired":       {trusting("127.0.0.1", secure.Certificate().NotAfter.Add(time.Hour)), outbox.CodeCertificate, "certificate expired, or not valid yet", 0},
		"the certificate is not valid yet":  {trusting("127.0.0.1", secure.Certificate().NotBefore.Add(-time.Hour)), outbox.CodeCertificate, "certificate expired, or not valid yet", 0},
		"a proxy is not there":              {through(t, nowhere, far), outbox.CodeProxy, "the proxy cannot be reached", 0},
		"a proxy hangs up":                  {through(t, says(t, ""), "http://server.invalid"), outbox.CodeBroken, "connection closed early", 0},
		"a proxy wants a password":          {connect("407 Who are you?"), outbox.CodeProxyPassword, "HTTP 407", 0},
		"a proxy wants a password in plain": {through(t, says(t, "HTTP/1.1 407 No\r\n\r\n"), "http://server.invalid"), outbox.CodeProxyPassword, "HTTP 407", 0},
		"a proxy forbids":                   {connect("403 Blocked by the Ministry\r\nRetry-After: 7"), outbox.CodeProxy, "HTTP 403", 0},
		"a proxy has no way there":          {connect("502 Bad Gateway"), outbox.CodeProxy, "HTTP 502", 0},
		"a proxy asks to wait":              {connect("429 Slow down\r\nRetry-After: 7"), outbox.CodeRetryAfter, "HTTP 429", 7 * time.Second},
		"a proxy is busy":                   {connect("503 Busy\r\nRetry-After: 7"), outbox.CodeRetryAfter, "HTTP 503", 7 * time.Second},
		"a server asks to wait":             {client(says(t, "HTTP/1.1 500 Oops\r\nRetry-After: 30\r\n\r\n")), outbox.CodeServer, "HTTP 500", 30 * time.Second},
		"an answer has no end":              {client(says(t, "HTTP/1.1 200 OK\r\n\r\n"+acknowledgement+strings.Repeat(" ", answerLimit))), outbox.CodePortal, "HTTP 200", 0},
		"the address is wrong in itself":    {&Client{Wrong: &outbox.Unusable{Code: outbox.CodeNoKey, Reason: "no key"}}, outbox.CodeNoKey, "no key", 0}, // a request would panic
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := test.client.Send(t.Context(), nil)
			if a.Outcome != outbox.Later || a.Code != test.code || a.Reason != test.reason || a.RetryAfter != test.wait {
				t.Errorf("the answer is %+v, want %s, %q and to wait %s: a user looks that up in the docs", a, test.code, test.reason, test.wait)
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

func TestTheEndOfTheTimeEndsEveryWaitAndAsksForFewer(t *testing.T) {
	for name, partly := range map[string]string{
		"before the answer": "",
		"in the header":     success[:20],
		"in the body":       success[:len(success)-3],
	} {
		t.Run(name, func(t *testing.T) {
			ctx := expiring{t.Context(), make(chan struct{})}
			c := client(serve(t, func(c net.Conn) {
				read(c)
				io.WriteString(c, partly)
				close(ctx.over)
			}))
			if v, _ := c.Send(ctx, nil); v.Outcome != outbox.Fewer || v.Code != outbox.CodeTimeout {
				t.Errorf("the verdict is %+v, want fewer and %s: a smaller request may be answered in time", v, outbox.CodeTimeout)
			}
		})
	}
}

func TestWithoutAConnectionTheEndAsksForNothingSmaller(t *testing.T) {
	c := client("http://server.invalid")
	c.Transport.(*http.Transport).Proxy = nil
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for code, ctx := range map[string]context.Context{outbox.CodeTimeout: late, outbox.CodeInterrupted: interrupted} {
		if v, _ := c.Send(ctx, nil); v.Outcome != outbox.Later || v.Code != code {
			t.Errorf("the verdict is %+v, want later and %s: behind a firewall, and after Ctrl-C, size is no matter", v, code)
		}
	}
}

func TestOnlyARequestOnADeadConnectionIsSentOnceMore(t *testing.T) {
	breakOff := func(c net.Conn) {
		io.WriteString(c, success[:9])
		c.Close()
	}
	write := func(answer string) func(net.Conn) {
		return func(c net.Conn) { io.WriteString(c, answer) }
	}
	redirect := write("HTTP/1.1 307 Elsewhere\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
	for name, test := range map[string]struct {
		first, second func(net.Conn) // what becomes of the first and of the second request on a connection
		requests      int32          // in all, of two bodies
		codes         []string       // of their answers, "" for an accepted one
	}{
		"the server resets it":           {write(success), reset, 3, []string{"", ""}},
		"the server closes it":           {write(success), func(c net.Conn) { c.Close() }, 3, []string{"", ""}},
		"the server has begun to answer": {write(success), breakOff, 2, []string{"", outbox.CodeBroken}},
		"the server answers":             {write(success), write(success), 2, []string{"", ""}},
		"the server redirects":           {redirect, redirect, 2, []string{outbox.CodeRedirect, outbox.CodeRedirect}},
		"a fresh connection breaks":      {reset, reset, 2, []string{outbox.CodeBroken, outbox.CodeBroken}},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			c := client(serve(t, func(c net.Conn) {
				reader := bufio.NewReader(c)
				for act := test.first; ; act = test.second {
					r, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					kind, encoding, keys := r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding"), r.Header["Idempotency-Key"]
					if body, _ := io.ReadAll(r.Body); string(body) != "body" || kind != "application/json" || encoding != "gzip" || keys != nil {
						t.Errorf("the body is %q, the header %v", body, r.Header)
					}
					requests.Add(1)
					act(c)
				}
			}))
			for i, want := range test.codes {
				if v, _ := c.Send(t.Context(), []byte("body")); v.Code != want || (v.Outcome == outbox.Accepted) != (want == "") {
					t.Errorf("body %d: %+v, want code %q", i+1, v, want)
				}
			}
			if n := requests.Load(); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}
