package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

const someState = "state-5d0e1a52-7c54-4d0e"

// listen returns a callback server on a free port.
func listen(t *testing.T) *Callback {
	t.Helper()
	c, err := ListenCallback(someState, 0)
	for errors.As(err, new(*PortTakenError)) { // by another process, on the other loopback address
		c, err = ListenCallback(someState, 0)
	}
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// come lets the browser come to the callback with a query, and returns what it is shown then, and what the login gets.
// A login without a code ends with a failure.
func come(t *testing.T, c *Callback, query url.Values) (response *http.Response, page, code string, err error) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		failure := ""
		if code, err = c.Wait(t.Context()); err != nil {
			failure = "it was <refused>"
		}
		c.Finish(failure)
	}()
	response, page = visit(t, c, http.MethodGet, "/callback", "localhost:9905", query)
	<-done
	return response, page, code, err
}

// address is the first that c listens on.
func (c *Callback) address() string { return c.listeners[0].Addr().String() }

// visit makes one request on a connection of its own and returns the whole answer.
func visit(t *testing.T, c *Callback, method, path, host string, query url.Values) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.address()+path+"?"+query.Encode(), nil)
	must(t, err)
	request.Host = host
	if query.Get("state") == someState {
		// A browser sends the cookies of all servers of this machine, whatever their port: Chrome at most 180 of 4 kB.
		request.Header.Set("Cookie", strings.Repeat("name=value; ", 180*4096/12))
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("the page broke off after %q: %v", body, err)
	}
	return response, string(body)
}

func callback(code string) url.Values {
	return url.Values{"state": {someState}, "code": {code}}
}

func TestTheBrowserBringsTheCode(t *testing.T) {
	response, page, code, err := come(t, listen(t), callback("code_1"))
	if err != nil || code != "code_1" || response.StatusCode != http.StatusOK || page != successPage {
		t.Errorf("got %q, %v, and the user sees status %d, %q; want the code and the success page", code, err, response.StatusCode, page)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Content-Type": "text/html; charset=utf-8",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff",
	} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("header %s is %q; want %q, the address of the page holds the code", name, got, want)
		}
	}
}

func TestARequestThatIsNotThisLoginsHasNoEffect(t *testing.T) {
	c := listen(t)
	refused := func(method, path, host string, states []string, status int, want string) {
		t.Helper()
		query := url.Values{"state": states, "code": {"code_SENTINEL"}, "error_description": {"<script>SENTINEL"}}
		response, page := visit(t, c, method, path, host, query)
		if response.StatusCode != status || page != want || strings.Contains(fmt.Sprint(response.Header), "SENTINEL") {
			t.Errorf("%s %s at %s with the state %q gave status %d, %v, %q; want %d, a fixed page and nothing of the request",
				method, path, host, states, response.StatusCode, response.Header, page, status)
		}
		if allow := response.Header.Get("Allow"); status == http.StatusMethodNotAllowed && allow != "GET" {
			t.Errorf("%s is answered with Allow %q; want GET", method, allow)
		}
	}
	for _, path := range []string{
		"/", "/favicon.ico", "/callback/", "/callback/x", "/CALLBACK", "//callback", "/x/callback", "/%63allback/..",
	} {
		refused("GET", path, "localhost:9905", []string{someState}, http.StatusNotFound, notFoundPage)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"} {
		refused(method, "/callback", "127.0.0.1:9905", []string{someState}, http.StatusMethodNotAllowed, notFoundPage)
	}
	for _, host := range []string{
		"evil.example", "evil.example:9905", "localhost.evil.example", "127.0.0.1.evil.example", "[::2]:9905", "10.0.0.1",
	} {
		refused("GET", "/callback", host, []string{someState}, http.StatusMisdirectedRequest, notFoundPage) // DNS rebinding
	}
	for _, host := range []string{"localhost", "localhost:9905", "LocalHost:9905", "127.0.0.1:9905", "127.0.0.1", "[::1]:9905"} {
		for _, states := range [][]string{
			nil, {""}, {"state-5d0e1a52-7c54-4d0f"}, {"state-5d"}, {someState + "x"}, {someState, someState}, {"x", someState},
			{"<script>SENTINEL"},
		} {
			refused("GET", "/callback", host, states, http.StatusBadRequest, stalePage)
		}
	}
	if _, _, code, err := come(t, c, callback("code_1")); err != nil || code != "code_1" {
		t.Errorf("the browser's own callback then gave %q, %v; want it to succeed", code, err)
	}
}

func TestTheServerListensOnThisMachineAloneAndIsGoneAfterwards(t *testing.T) {
	c := listen(t)
	for _, l := range c.listeners {
		if at := l.Addr().(*net.TCPAddr); !at.IP.IsLoopback() || at.Port != c.Port() {
			t.Errorf("listens on %v; want loopback addresses only, and one port: the browser may use either", at)
		}
	}
	idle := dial(t, c) // browsers open connections they may never use
	_, _, _, err := come(t, c, callback("code_1"))
	must(t, err)
	for _, l := range c.listeners {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v still accepted connections", l.Addr())
		}
	}
	must(t, idle.SetReadDeadline(time.Now().Add(20*time.Second)))
	if _, err := idle.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an unused connection gave %v; want it closed with the server", err)
	}
}

// dial opens a connection to the first address of c.
func dial(t *testing.T, c *Callback) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", c.address())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestALoginWithoutAUsableCodeFails(t *testing.T) {
	for name, codes := range map[string][]string{
		"no code": nil, "an empty code": {""}, "two codes": {"code_1", "code_2"}, "a code with a newline": {"code\n1"},
		"a code with a blank": {"code 1"}, "a code beyond ASCII": {"cöde"}, "a huge code": {strings.Repeat("c", 4097)},
	} {
		if code, err := codeFrom(url.Values{"code": codes}); err == nil || code != "" {
			t.Errorf("%s gave %q, %v; want an error", name, code, err)
		}
	}
}

func TestALoginThatIsDeniedSaysWhy(t *testing.T) {
	query := callback("code_1")
	query.Set("error", "access_denied")
	query.Set("error_description", "You said\x1b[31m no\u202e.")
	response, page, code, err := come(t, listen(t), query)
	var refused *RefusedError
	if !errors.As(err, &refused) || code != "" || refused.Reason != "access_denied: You said [31m no ." {
		t.Errorf("got %q, %v; want no code, and error and description on one plain line", code, err)
	}
	told := strings.Contains(page, "<p>It was &lt;refused&gt;.</p>")
	if response.StatusCode != http.StatusBadRequest || !told || strings.Contains(page, "logged in") {
		t.Errorf("the user sees status %d, %q; want what failed, as a sentence", response.StatusCode, page)
	}
}

func TestTheFirstCallbackCounts(t *testing.T) {
	c := listen(t)
	gone, leave := context.WithCancel(t.Context())
	leave() // browsers that do not wait for the outcome
	if _, err := c.Wait(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("before the browser comes, the wait gave %v; want it to end with its context", err)
	}
	for _, code := range []string{"code_first", "code_second", ""} {
		address := "http://localhost/callback?" + callback(code).Encode()
		c.handle(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, http.MethodGet, address, nil))
	}
	if code, err := c.Wait(t.Context()); err != nil || code != "code_first" {
		t.Errorf("the code is %q, %v; want the first", code, err)
	}
}

func TestABrowserThatSendsHalfARequestIsCutOff(t *testing.T) {
	t.Parallel()
	conn := dial(t, listen(t))
	_, err := io.WriteString(conn, "GET /callback HTTP/1.1\r\nHost: local")
	must(t, err)
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("%v; want the server to hang up", err)
	}
}

func TestAPortThatIsTakenIsSaidSo(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			other, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
			if err != nil {
				t.Skipf("this machine has no %s: %v", host, err)
			}
			defer other.Close()
			port := other.Addr().(*net.TCPAddr).Port
			_, err = ListenCallback(someState, port)
			var taken *PortTakenError
			if !errors.As(err, &taken) || taken.Port != port || !strings.Contains(err.Error(), fmt.Sprint(port)) {
				t.Errorf("got %v; want a PortTakenError that says which: the other program could get the code", err)
			}
		})
	}
}

func TestTheCodeIsNotLogged(t *testing.T) {
	if c := listen(t); c.server.ErrorLog == nil || c.server.ErrorLog.Writer() != io.Discard {
		t.Error("the HTTP server logs; its messages quote requests, and one of them holds the code")
	}
}

func FuzzTheCallbacksQuery(f *testing.F) {
	for _, query := range []string{"code=c1", "code=a&code=b", "error=access_denied&error_description=no%1b%5b31m",
		"code=%0a&error_description=%e2%80%ae%ff"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, _ := url.ParseQuery(query)
		code, err := codeFrom(values)
		if (err == nil) == (code == "") || strings.ContainsFunc(code, unsendable) {
			t.Fatalf("got %q, %v for %q; want what a header can bear, or an error", code, err, query)
		}
		if err != nil && strings.ContainsFunc(err.Error(), unprintable) {
			t.Fatalf("%q is refused with %q, which a terminal would obey", query, err)
		}
	})
}
