package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"html"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// CallbackPort is the only port of the callback that Arcade Cloud accepts.
	CallbackPort = 9905
	// callbackPath is the only path that it accepts.
	callbackPath = "/callback"
	// callbackPatience is how long a browser has to send the lines of its request.
	callbackPatience = 3 * time.Second
	// pagePatience is how long a finished login waits for the browser to fetch
	// its last page.
	pagePatience = time.Second
	// maxCodeLength and maxReasonLength are in characters.
	maxCodeLength   = 4096
	maxReasonLength = 300
)

// RefusedError says why the browser came back without a code.
type RefusedError struct {
	// Reason is Arcade Cloud's: a word such as access_denied, and perhaps a
	// sentence. It is safe to print on a terminal.
	Reason string
}

func (e *RefusedError) Error() string { return "the login was refused: " + e.Reason }

// PortTakenError says that another program listens on the callback's port.
type PortTakenError struct{ Port int }

func (e *PortTakenError) Error() string {
	return fmt.Sprintf("port %d, which the browser needs to report the login, is in use", e.Port)
}

// Callback is the server to which the browser brings the code. It listens on
// loopback addresses only and accepts one answer: the one with the state of this
// login. The browser learns how the login ended from [Callback.Finish].
type Callback struct {
	state     string
	listeners []net.Listener
	server    *http.Server
	first     sync.Once
	answered  chan struct{} // closed once code and err are set
	code      string
	err       error
	finished  chan struct{} // closed once outcome is set
	outcome   string        // why the login failed, "" for success
}

// ListenCallback starts the server for the state of [OAuth.LoginURL]. Port is
// [CallbackPort], or 0 for a free one. The caller must close it. The error can
// be a [*PortTakenError].
func ListenCallback(state string, port int) (*Callback, error) {
	c := &Callback{state: state, answered: make(chan struct{}), finished: make(chan struct{})}
	c.server = &http.Server{
		Handler:           http.HandlerFunc(c.handle),
		ReadHeaderTimeout: callbackPatience,
		// The log would quote requests, and one of them holds the code.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	c.server.SetKeepAlivesEnabled(false)
	// "localhost" may mean either address, and a program that listens on the other could
	// get the code. A machine without IPv6 has one of them.
	var failure error
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if isPortTaken(err) {
			c.Close()
			return nil, &PortTakenError{Port: port}
		}
		if err != nil {
			failure = err
			continue
		}
		c.listeners = append(c.listeners, l)
		port = c.Port()
	}
	if len(c.listeners) == 0 {
		return nil, fmt.Errorf("listen for the browser: %w", failure)
	}
	for _, l := range c.listeners {
		go c.server.Serve(l) // ends when Close closes l
	}
	return c, nil
}

// Port is the same for all addresses.
func (c *Callback) Port() int { return c.listeners[0].Addr().(*net.TCPAddr).Port }

// RedirectURI is where the login page has to send the browser. Arcade Cloud
// accepts only the one on [CallbackPort].
func (c *Callback) RedirectURI() string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", c.Port(), callbackPath)
}

// Answered is closed when the browser has come.
func (c *Callback) Answered() <-chan struct{} { return c.answered }

// Wait returns the code for [OAuth.Exchange] that the browser brings; the browser
// then waits for [Callback.Finish]. The error is a [*RefusedError], the context's, or
// says that there is no code.
func (c *Callback) Wait(ctx context.Context) (string, error) {
	select {
	case <-c.answered:
		return c.code, c.err
	case <-ctx.Done():
		return "", fmt.Errorf("wait for the browser: %w", ctx.Err())
	}
}

// Finish tells the browser why the login failed, "" for success, and closes the
// server. The browser has a second to fetch that page. Call it once.
func (c *Callback) Finish(failure string) {
	defer c.Close()
	c.outcome = failure
	close(c.finished)
	select {
	case <-c.answered:
		ctx, cancel := context.WithTimeout(context.Background(), pagePatience)
		defer cancel()
		_ = c.server.Shutdown(ctx)
	default:
	}
}

// Close ends the server and every connection at once.
func (c *Callback) Close() error {
	for _, l := range c.listeners { // the server does not know a listener until Serve has begun
		l.Close()
	}
	return c.server.Close()
}

// handle answers the browser. Only a request with the right state has an effect.
func (c *Callback) handle(w http.ResponseWriter, r *http.Request) {
	name := strings.ToLower((&url.URL{Host: r.Host}).Hostname())
	state := r.URL.Query()["state"]
	refused, page := 0, notFoundPage
	switch {
	case !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, name):
		refused = http.StatusMisdirectedRequest // a foreign name that resolves to this machine (DNS rebinding)
	case r.URL.Path != callbackPath:
		refused = http.StatusNotFound
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		refused = http.StatusMethodNotAllowed
	case len(state) != 1 || subtle.ConstantTimeCompare([]byte(state[0]), []byte(c.state)) != 1:
		refused, page = http.StatusBadRequest, stalePage
	}
	if refused != 0 {
		writePage(w, refused, page)
		return
	}
	c.first.Do(func() { // the browser may come twice
		c.code, c.err = codeFrom(r.URL.Query())
		close(c.answered)
	})
	select {
	case <-r.Context().Done():
		return
	case <-c.finished:
	}
	if c.outcome == "" {
		writePage(w, http.StatusOK, successPage)
	} else {
		writePage(w, http.StatusBadRequest, failurePage(c.outcome))
	}
}

// codeFrom returns an error unless there is one usable code.
func codeFrom(query url.Values) (string, error) {
	if reason := printable(query.Get("error"), maxReasonLength); reason != "" {
		if more := printable(query.Get("error_description"), maxReasonLength); more != "" {
			reason += ": " + more
		}
		return "", &RefusedError{reason}
	}
	codes := query["code"]
	if len(codes) != 1 || codes[0] == "" || len(codes[0]) > maxCodeLength || strings.ContainsFunc(codes[0], unsendable) {
		return "", errors.New("the browser brought no code")
	}
	return codes[0], nil
}

// unsendable reports a character that a header cannot contain.
func unsendable(r rune) bool { return r <= ' ' || r > '~' }

// printable returns s on one line, without the control characters that a terminal
// obeys, and cut to limit characters.
func printable(s string, limit int) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || unprintable(r) }), " ")
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit])
	}
	return s
}

// The pages at the end of a login. They show nothing of a request.
const (
	successPage  = pageHead + "<h1>You are logged in to Arcade.</h1><p>You can close this window and go back to the terminal.</p>"
	stalePage    = pageHead + "<h1>This is not the current login link.</h1><p>Use the address that the terminal shows.</p>"
	notFoundPage = pageHead + "<h1>There is nothing here.</h1><p>The Arcade CLI waits for a login in this browser.</p>"

	pageHead = "<!doctype html><html lang=en><meta charset=utf-8><title>Arcade CLI</title>" +
		"<meta name=viewport content=\"width=device-width\"><meta name=color-scheme content=\"light dark\">"
)

// failurePage shows reason, which begins in lower case, as a sentence.
func failurePage(reason string) string {
	first, size := utf8.DecodeRuneInString(reason)
	sentence := string(unicode.ToUpper(first)) + strings.TrimSuffix(reason[size:], ".") + "."
	return pageHead + "<h1>The login to Arcade failed.</h1><p>" + html.EscapeString(sentence) +
		"</p><p>Go back to the terminal and run the command again.</p>"
}

// writePage answers with a page. A browser that went away does not undo the login.
func writePage(w http.ResponseWriter, status int, page string) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	// The callback's address holds a secret: keep it out of caches and out of the
	// next request's Referer, and let the page load nothing.
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, page)
}
