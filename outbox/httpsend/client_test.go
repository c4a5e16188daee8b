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
	"testing/synctest"
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
	trusting := func(name string, now time.Time) *Client {
		transport := secure.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.ServerName = name
		transport.TLSClientConfig.Time = func() time.Time { return now }
		return &Client{URL: secure.URL, Transport: transport}
	}
	unknown := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}
	}
	tooLate := secure.Certificate().NotAfter.Add(time.Hour)
	plain := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1<<16)) // the client's hello
		io.WriteString(c, success)
		_, _ = io.Copy(io.Discard, c) // until the client hangs up
		c.Close()
	})
	resets := serve(t, func(c net.Conn) { read(c); reset(c) })
	answers := func(answer string) *Client { return client(says(t, answer)) }
	const nowhere, far, farPlain = "http://127.0.0.1:1", "https://server.invalid", "http://server.invalid"
	connect := func(answer string) *Client {
		return through(t, says(t, "HTTP/1.1 "+answer+"\r\nContent-Length: 0\r\n\r\n"), far)
	}
	for name, test := range map[string]struct {
		client *Client
		want   string // code: reason, and how long to wait
	}{
		"no process listens":          {client(nowhere), "offline: connection refused"},
		"there is no such name":       {&Client{URL: farPlain, Transport: &http.Transport{DialContext: unknown}}, "offline: name not found"},
		"the peer resets":             {client(resets), "broken: connection reset"},
		"the peer hangs up":           {answers(""), "broken: connection closed early"},
		"the answer breaks off":       {answers(strings.Replace(success, "11", "99", 1)), "broken: connection closed early"},
		"the answer is no HTTP":       {answers("SSH-2.0-OpenSSH_9.2\r\n"), "broken: network error"},
		"an answer has no end":        {answers("HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat(" ", 1<<20+1)), "portal: HTTP 200"},
		"a server asks to wait":       {answers("HTTP/1.1 500 Oops\r\nRetry-After: 30\r\n\r\n"), "server: HTTP 500, 30s"},
		"the peer does not speak TLS": {client(strings.Replace(plain, "http", "https", 1)), "foreign: something that does not speak TLS answered"},

		"the authority is unknown":       {client(secure.URL), "authority: certificate signed by an unknown authority"},
		"the certificate is for another": {trusting("server.invalid", time.Now()), "certificate_name: certificate for another name"},
		"the certificate has expired":    {trusting("127.0.0.1", tooLate), "certificate: certificate expired, or not valid yet"},

		"a proxy is not there":              {through(t, nowhere, far), "proxy: the proxy cannot be reached"},
		"a proxy wants a password":          {connect("407 Who are you?"), "proxy_password: HTTP 407"},
		"a proxy wants a password in plain": {through(t, says(t, "HTTP/1.1 407 No\r\n\r\n"), farPlain), "proxy_password: HTTP 407"},
		"a proxy forbids":                   {connect("403 Blocked by the Ministry\r\nRetry-After: 7"), "proxy: HTTP 403"},
		"a proxy asks to wait":              {connect("429 Slow down\r\nRetry-After: 7"), "retry_after: HTTP 429, 7s"},
		"a proxy is busy":                   {connect("503 Busy\r\nRetry-After: 7"), "retry_after: HTTP 503, 7s"},

		// A request would panic.
		"the address is wrong in itself": {&Client{Wrong: &outbox.Unusable{Code: outbox.CodeNoKey, Reason: "no key"}}, "no_key: no key"},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := test.client.Send(t.Context(), nil)
			got := a.Code + ": " + a.Reason
			if a.RetryAfter != 0 {
				got += ", " + a.RetryAfter.String()
			}
			if a.Outcome != outbox.Later || got != test.want {
				t.Errorf("%q as %+v, want %q, later: a user looks that up in the docs", got, a, test.want)
			}
		})
	}
}

// A smaller request may be answered in time, once there is a connection. Behind a firewall, and after Ctrl-C, size is
// no matter.
func TestTheEndOfTheTimeEndsEveryWait(t *testing.T) {
	for name, test := range map[string]struct {
		connects bool
		partly   string        // what the server says
		patience time.Duration // of the user
		want     outbox.Verdict
	}{
		"before the answer":           {true, "", time.Minute, outbox.Verdict{Outcome: outbox.Fewer, Code: outbox.CodeTimeout}},
		"in the body":                 {true, success[:48], time.Minute, outbox.Verdict{Outcome: outbox.Fewer, Code: outbox.CodeTimeout}},
		"without a connection":        {false, "", time.Minute, outbox.Verdict{Outcome: outbox.Later, Code: outbox.CodeTimeout}},
		"Ctrl-C before the answer":    {true, "", time.Second, outbox.Verdict{Outcome: outbox.Later, Code: outbox.CodeInterrupted}},
		"Ctrl-C without a connection": {false, "", time.Second, outbox.Verdict{Outcome: outbox.Later, Code: outbox.CodeInterrupted}},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			defer time.AfterFunc(test.patience, interrupt).Stop()
			ctx, end := context.WithTimeout(ctx, 8*time.Second)
			defer end()
			c := client("http://server.invalid")
			c.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				if !test.connects {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				go func() {
					read(there)
					io.WriteString(there, test.partly)
				}()
				return here, nil
			}}
			v, _ := c.Send(ctx, nil)
			if v.Reason = ""; v.Verdict != test.want {
				t.Errorf("%s: the verdict is %+v, want %+v", name, v.Verdict, test.want)
			}
		})
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
