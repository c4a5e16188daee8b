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
	"slices"
	"strings"
	"testing"
	"time"
)

const someState = "state-5d0e1a52-7c54-4d0e"

// listen returns a callback server on a free port.
func listen(t *testing.T) *Callback {
	t.Helper()
	c, err := ListenCallback(someState, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// answer is what the browser brought.
type answer struct {
	code string
	err  error
}

// finish lets a login end well as soon as it has its answer, which outcome returns.
func finish(t *testing.T, c *Callback) (outcome func() (string, error)) {
	t.Helper()
	done := make(chan answer, 1)
	go func() {
		code, err := c.Wait(t.Context())
		if err == nil {
			c.Finish("")
		} else {
			c.Finish("It was refused.")
		}
		done <- answer{code, err}
	}()
	return func() (string, error) {
		a := <-done
		return a.code, a.err
	}
}

// address is the first that c listens on.
func (c *Callback) address() string { return c.listeners[0].Addr().String() }

// visit makes one request on a connection of its own and returns the whole answer.
func visit(t *testing.T, c *Callback, method, path, host string, query url.Values) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.address()+path+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
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

// checkStillWaiting checks that nothing so far has used the login up.
func checkStillWaiting(t *testing.T, c *Callback) {
	t.Helper()
	outcome := finish(t, c)
	response, _ := visit(t, c, http.MethodGet, "/callback", "localhost:9905", callback("code_1"))
	if code, err := outcome(); response.StatusCode != http.StatusOK || err != nil || code != "code_1" {
		t.Errorf("the browser's own callback then gave status %d, code %q, %v; want it to succeed", response.StatusCode, code, err)
	}
}

func TestTheBrowserBringsTheCode(t *testing.T) {
	c := listen(t)
	outcome := finish(t, c)
	response, page := visit(t, c, http.MethodGet, "/callback", "localhost:9905", callback("code_1"))

	if response.StatusCode != http.StatusOK || page != successPage {
		t.Errorf("the person sees status %d, %q; want the success page", response.StatusCode, page)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Content-Type": "text/html; charset=utf-8",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff",
	} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("header %s is %q; want %q, the address of the page holds the code", name, got, want)
		}
	}
	if code, err := outcome(); err != nil || code != "code_1" {
		t.Errorf("got %q, %v; want the code", code, err)
	}
}

func TestTheServerIsGoneAfterwards(t *testing.T) {
	c := listen(t)
	addresses := c.listeners
	idle, err := net.Dial("tcp", c.address()) // browsers open connections they may never use
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	checkStillWaiting(t, c)
	for _, l := range addresses {
		if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
			conn.Close()
			t.Errorf("%v still accepts connections", l.Addr())
		}
	}
	if err := idle.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an unused connection gave %v; want it closed with the server", err)
	}
}

func TestOnlyThisMachineCanConnect(t *testing.T) {
	c := listen(t)
	for _, l := range c.listeners {
		if ip := l.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
			t.Errorf("listens on %v; want loopback addresses only", ip)
		}
	}
	if len(c.listeners) == 2 && c.listeners[0].Addr().(*net.TCPAddr).Port != c.listeners[1].Addr().(*net.TCPAddr).Port {
		t.Error("the two addresses have different ports; the browser may use either")
	}
}

func TestALoginWithoutAUsableCodeFails(t *testing.T) {
	for name, codes := range map[string][]string{
		"no code": nil, "an empty code": {""}, "two codes": {"code_1", "code_2"}, "a code with a newline": {"code\n1"},
		"a code with a blank": {"code 1"}, "a code beyond ASCII": {"cöde"}, "a huge code": {strings.Repeat("c", 5000)},
	} {
		t.Run(name, func(t *testing.T) {
			c := listen(t)
			outcome := finish(t, c)
			query := callback("")
			query["code"] = codes
			response, page := visit(t, c, http.MethodGet, "/callback", "localhost:9905", query)
			if response.StatusCode != http.StatusBadRequest || page != failurePage("It was refused.") {
				t.Errorf("the person sees status %d, %q; want the failure page", response.StatusCode, page)
			}
			if code, err := outcome(); err == nil || code != "" {
				t.Errorf("got %q, %v; want an error at once", code, err)
			}
		})
	}
}

func TestARequestWithoutTheStateChangesNothing(t *testing.T) {
	for name, states := range map[string][]string{
		"no state": nil, "an empty state": {""}, "another state": {"state-5d0e1a52-7c54-4d0f"}, "half the state": {"state-5d"},
		"more than the state": {someState + "x"}, "the state twice": {someState, someState}, "one of two right": {"x", someState},
	} {
		t.Run(name, func(t *testing.T) {
			c := listen(t)
			query := callback("code_evil")
			query["state"] = states
			response, page := visit(t, c, http.MethodGet, "/callback", "localhost:9905", query)
			if response.StatusCode != http.StatusBadRequest || page != stalePage {
				t.Errorf("got status %d, %q; want to be told that the link is not the current one", response.StatusCode, page)
			}
			checkStillWaiting(t, c)
		})
	}
}

func TestOtherPathsAndMethodsAreIgnored(t *testing.T) {
	c := listen(t)
	for _, path := range []string{"/", "/favicon.ico", "/callback/", "/callback/x", "/CALLBACK", "//callback", "/x/callback", "/%63allback/.."} {
		if response, page := visit(t, c, http.MethodGet, path, "localhost:9905", callback("code_evil")); response.StatusCode != http.StatusNotFound || page != notFoundPage {
			t.Errorf("%s gave status %d, %q; want 404", path, response.StatusCode, page)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "TRACE"} {
		response, _ := visit(t, c, method, "/callback", "localhost:9905", callback("code_evil"))
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET" {
			t.Errorf("%s gave status %d, Allow %q; want 405 and GET", method, response.StatusCode, response.Header.Get("Allow"))
		}
	}
	checkStillWaiting(t, c)
}

func TestOnlyThisMachinesOwnNamesAreAnswered(t *testing.T) {
	c := listen(t)
	for _, host := range []string{"evil.example", "evil.example:9905", "localhost.evil.example", "127.0.0.1.evil.example", "[::2]:9905", "10.0.0.1"} {
		response, _ := visit(t, c, http.MethodGet, "/callback", host, callback("code_evil"))
		if response.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("Host %q gave status %d; want 421, a page of that host could read the answer (DNS rebinding)", host, response.StatusCode)
		}
	}
	for _, host := range []string{"localhost", "localhost:9905", "LocalHost:9905", "127.0.0.1:9905", "127.0.0.1", "[::1]:9905"} {
		if response, _ := visit(t, c, http.MethodGet, "/callback", host, nil); response.StatusCode != http.StatusBadRequest {
			t.Errorf("Host %q gave status %d; want it to get as far as the state, which is missing", host, response.StatusCode)
		}
	}
	checkStillWaiting(t, c)
}

func TestTheFirstCallbackCounts(t *testing.T) {
	c := listen(t)
	gone, leave := context.WithCancel(t.Context())
	leave() // browsers that do not wait for the outcome
	for _, code := range []string{"code_first", "code_second", ""} {
		c.handle(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, http.MethodGet, "http://localhost/callback?"+callback(code).Encode(), nil))
	}
	if code, err := c.Wait(t.Context()); err != nil || code != "code_first" {
		t.Errorf("the code is %q, %v; want the first", code, err)
	}
}

func TestNothingOfARequestIsShown(t *testing.T) {
	c := listen(t)
	const sentinel = "<script>SENTINEL</script>"
	evil := url.Values{"state": {sentinel}, "code": {sentinel}, "error": {sentinel}, "error_description": {sentinel}}
	right := url.Values{"state": {someState}, "code": {"code_SENTINEL"}, "error_description": {sentinel}}
	finish(t, c)
	pages := []string{successPage, stalePage, notFoundPage}
	for _, request := range []struct {
		path  string
		query url.Values
	}{{"/callback", evil}, {"/SENTINEL", evil}, {"/callback", right}} {
		response, page := visit(t, c, http.MethodGet, request.path, "localhost:9905", request.query)
		if !slices.Contains(pages, page) || strings.Contains(fmt.Sprint(response.Header), "SENTINEL") {
			t.Errorf("%s shows %q with %v; want one of the fixed pages", request.path, page, response.Header)
		}
	}
	for _, page := range pages {
		if strings.Contains(page, "<script") || strings.Contains(page, "http") {
			t.Errorf("the page %q runs or loads something", page)
		}
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	c := listen(t)
	for name, text := range map[string]string{
		"silence":        "",
		"half a line":    "GET /callb",
		"half a header":  "GET /callback HTTP/1.1\r\nHost: local",
		"an endless one": "GET /callback HTTP/1.1\r\nHost: localhost\r\nX: ",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", c.address())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("%v; want the server to hang up", err)
			}
		})
	}
}

// A browser sends the cookies of all servers of this machine, whatever their port.
func TestAMegabyteOfCookiesIsNoReasonToTurnTheBrowserAway(t *testing.T) {
	c := listen(t)
	outcome := finish(t, c)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.address()+"/callback?"+callback("code_1").Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "localhost:9905"
	request.Header.Set("Cookie", strings.Repeat("name=value; ", 1<<20/12))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if code, err := outcome(); err != nil || code != "code_1" || response.StatusCode != http.StatusOK {
		t.Errorf("got %q, %v, and status %d; want the code", code, err, response.StatusCode)
	}
}

func TestAFailureIsShownAsASentence(t *testing.T) {
	if page := failurePage("the disk is full"); !strings.Contains(page, "<p>The disk is full.</p>") {
		t.Errorf("the page is %q", page)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	c := listen(t)
	address := c.address()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want context.Canceled", err)
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("the server outlives the wait")
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
			c, err := ListenCallback(someState, port)
			if err == nil {
				c.Close()
			}
			var taken *PortTakenError
			if !errors.As(err, &taken) || taken.Port != port {
				t.Fatalf("got %v; want a PortTakenError, the other program could get the code", err)
			}
			if !strings.Contains(err.Error(), fmt.Sprint(port)) {
				t.Errorf("%q does not say which port", err)
			}
			other.Close()
			again, err := ListenCallback(someState, port)
			if err != nil {
				t.Fatalf("once the port is free: %v; want the failed attempt to have left nothing behind", err)
			}
			again.Close()
		})
	}
}

func TestTheCodeIsNotLogged(t *testing.T) {
	if c := listen(t); c.server.ErrorLog == nil || c.server.ErrorLog.Writer() != io.Discard {
		t.Error("the HTTP server logs; its messages quote requests, and one of them holds the code")
	}
}

func FuzzTheCallbacksQuery(f *testing.F) {
	f.Add("state=s&code=c1")
	f.Add("code=a&code=b")
	f.Add("error=access_denied&error_description=no%1b%5b31m")
	f.Add("code=%0a&error_description=%e2%80%ae%ff")
	f.Fuzz(func(t *testing.T, query string) {
		values, _ := url.ParseQuery(query)
		code, err := codeFrom(values)
		if (err == nil) == (code == "") {
			t.Fatalf("got %q, %v for %q", code, err, query)
		}
		if err != nil && strings.ContainsFunc(err.Error(), unprintable) {
			t.Fatalf("%q is refused with %q, which a terminal would obey", query, err)
		}
		if strings.ContainsFunc(code, unsendable) {
			t.Fatalf("%q was let through", query)
		}
	})
}

func TestTheBrowserIsToldHowTheLoginEnded(t *testing.T) {
	c := listen(t)
	pages := make(chan string, 1)
	go func() {
		_, page := visit(t, c, http.MethodGet, "/callback", "localhost:9905", callback("code_1"))
		pages <- page
	}()
	if _, err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case page := <-pages:
		t.Fatalf("the page %q came before the login was over", page)
	default:
	}
	c.Finish("The disk is <full>.")
	if page := <-pages; !strings.Contains(page, "The disk is &lt;full&gt;.") || strings.Contains(page, "logged in") {
		t.Errorf("the page is %q; want what failed, as text", page)
	}
}

func TestALoginThatIsDeniedSaysWhy(t *testing.T) {
	c := listen(t)
	outcome := finish(t, c)
	visit(t, c, http.MethodGet, "/callback", "localhost:9905", url.Values{"state": {someState},
		"error": {"access_denied"}, "error_description": {"You said\x1b[31m no\u202e."}, "code": {"code_1"}})
	code, err := outcome()
	var refused *RefusedError
	if !errors.As(err, &refused) || code != "" {
		t.Fatalf("got %q, %v; want a refusal and no code", code, err)
	}
	if refused.Reason != "access_denied: You said [31m no ." {
		t.Errorf("the reason is %q; want error and description on one plain line", refused.Reason)
	}
}
