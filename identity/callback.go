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
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// callbackPatience is how long one browser request may take, from the
	// first byte to the last; the page that waits for the login has its own.
	callbackPatience = 3 * time.Second
	// maxCallbackConnections is per address. A browser opens a handful; who
	// comes later waits until one is closed.
	maxCallbackConnections = 64
	// maxCallbackHeader is that of a request with all a browser may add, in
	// bytes. The key comes in the first line.
	maxCallbackHeader = 32 << 10
	// pagePatience is how long a login that is over waits for the browser to
	// fetch its last page.
	pagePatience = time.Second
	// donePage is where the browser is sent from the callback, beside it: the
	// address it then shows and remembers holds no code and no key.
	donePage = "done"
)

// Lengths beyond which the callback's values are no such thing, in characters.
const (
	maxAPIKeyLength  = 4096
	maxEmailLength   = 254 // RFC 5321
	maxWarningLength = 1000
	maxReasonLength  = 300
)

// ErrLoginRefused says that the browser came back without a code or a key.
var ErrLoginRefused = errors.New("the login was not completed in the browser")

// RefusedError is an [ErrLoginRefused] that has a reason.
type RefusedError struct {
	// Reason is Arcade Cloud's: a word such as access_denied, and perhaps a
	// sentence. It can be printed on a terminal.
	Reason string
}

func (e *RefusedError) Error() string { return ErrLoginRefused.Error() + ": " + e.Reason }

// Is says that it is an [ErrLoginRefused].
func (e *RefusedError) Is(target error) bool { return target == ErrLoginRefused }

// PortTakenError says that another program listens where the browser is going
// to bring the key.
type PortTakenError struct{ Port int }

func (e *PortTakenError) Error() string {
	return fmt.Sprintf("port %d, which the browser needs to report the login, is in use", e.Port)
}

// Grant is what a login in the browser yields: a code for [OAuth.Exchange], or
// from an older Cloud an API key.
type Grant struct {
	Code, APIKey string
	// Email is whose key it is, and Warning a text to show, if any; both can be
	// printed on a terminal.
	Email, Warning string
}

// String hides the secrets, so that no print of a structure can leak it.
func (g Grant) String() string { return fmt.Sprintf("grant for %q", g.Email) }

// GoString is String.
func (g Grant) GoString() string { return g.String() }

// Callback is the server to which the browser brings the code or the key. It
// listens on this machine's own addresses only and answers one request: the one
// that shows the state of this login. The browser is told how the login ended
// only once [Callback.Finish] says so.
type Callback struct {
	state     string
	hosts     []string // that a request may have been sent to
	paths     []string
	listeners []net.Listener
	server    *http.Server
	first     sync.Once
	granted   chan answer   // receives the one answer
	answered  chan struct{} // closed with it
	finished  chan struct{} // closed once outcome is set
	outcome   string        // why the login failed, "" for success
	shown     chan struct{} // receives when the browser has its last page
}

// answer is what the browser brought.
type answer struct {
	grant Grant
	err   error
}

// ListenCallback starts the server for [CallbackURI]'s uri and the state of the
// [LoginURL]. Port is [CallbackPort], or 0 for a free one. The caller must
// close it. The error can be a [*PortTakenError].
func ListenCallback(uri, state string, port int) (*Callback, error) {
	return listenCallback(uri, state, port, callbackPatience)
}

func listenCallback(uri, state string, port int, patience time.Duration) (*Callback, error) {
	u, err := url.Parse(uri)
	if err != nil || state == "" {
		return nil, errors.New("listen for the browser: needs the callback's address and a state")
	}
	listeners, err := listenLoopback(port)
	if err != nil {
		return nil, err
	}
	c := &Callback{
		state:     state,
		hosts:     []string{"localhost", "127.0.0.1", "::1", strings.ToLower(u.Hostname())},
		paths:     []string{callbackPath, u.Path},
		listeners: listeners,
		granted:   make(chan answer, 1),
		answered:  make(chan struct{}),
		finished:  make(chan struct{}),
		shown:     make(chan struct{}, 1),
	}
	c.serve(patience)
	return c, nil
}

// listenLoopback listens on both loopback addresses. "localhost" may mean
// either: if another program had one of them, it could get the key. A machine
// without IPv6 has one.
func listenLoopback(port int) ([]net.Listener, error) {
	var listeners []net.Listener
	var failure error
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if isPortTaken(err) {
			closeAll(listeners)
			return nil, &PortTakenError{Port: port}
		}
		if err != nil {
			failure = err
			continue
		}
		port = l.Addr().(*net.TCPAddr).Port
		listeners = append(listeners, netutil.LimitListener(l, maxCallbackConnections))
	}
	if len(listeners) == 0 {
		return nil, fmt.Errorf("listen for the browser: %w", failure)
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

func (c *Callback) serve(patience time.Duration) {
	c.server = &http.Server{
		Handler:        http.HandlerFunc(c.handle),
		ReadTimeout:    patience,
		WriteTimeout:   patience,
		MaxHeaderBytes: maxCallbackHeader,
		// What it would log quotes requests, and one of them holds the key.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	c.server.SetKeepAlivesEnabled(false)
	for _, l := range c.listeners {
		go c.server.Serve(l) // ends when Close closes l
	}
}

// Addr is the first address it listens on.
func (c *Callback) Addr() net.Addr { return c.listeners[0].Addr() }

// Wait returns what the browser brings. The browser waits from then on for
// [Callback.Finish]. The error is [ErrLoginRefused], perhaps as a
// [*RefusedError], or wraps the context's.
func (c *Callback) Wait(ctx context.Context) (Grant, error) {
	select {
	case a := <-c.granted:
		return a.grant, a.err
	case <-ctx.Done():
		c.Close()
		return Grant{}, fmt.Errorf("wait for the browser: %w", ctx.Err())
	}
}

// Finish tells the browser how the login ended: why it failed, "" for success.
// If the browser came it waits a second at most for it to fetch that, and
// closes the server. It is called once.
func (c *Callback) Finish(failure string) {
	defer c.Close()
	c.outcome = failure
	close(c.finished)
	select {
	case <-c.answered:
	default:
		return
	}
	select {
	case <-c.shown:
	case <-time.After(pagePatience):
	}
	ctx, cancel := context.WithTimeout(context.Background(), pagePatience)
	defer cancel()
	// What is left are connections without a request.
	_ = c.server.Shutdown(ctx)
}

// Close ends the server and every connection at once.
func (c *Callback) Close() error {
	// Listeners that Serve has not met yet are not the server's to close.
	closeAll(c.listeners)
	return c.server.Close()
}

// handle answers the browser. Only a request with the right state has any
// effect; what a stray page or program sends is turned away without a trace.
func (c *Callback) handle(w http.ResponseWriter, r *http.Request) {
	callback := slices.Contains(c.paths, r.URL.Path)
	switch {
	case !c.sentToUs(r.Host):
		// A foreign name that resolves to this machine (DNS rebinding).
		writePage(w, http.StatusMisdirectedRequest, notFoundPage)
	case !callback && !c.isDonePage(r.URL.Path):
		writePage(w, http.StatusNotFound, notFoundPage)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		writePage(w, http.StatusMethodNotAllowed, notFoundPage)
	case callback:
		c.answer(w, r.URL.Query())
	default:
		c.showOutcome(w, r)
	}
}

// isDonePage says whether name is the page beside the callback, and there is
// one: before the browser came there is nothing to see.
func (c *Callback) isDonePage(name string) bool {
	select {
	case <-c.answered:
		return slices.ContainsFunc(c.paths, func(p string) bool { return path.Join(path.Dir(p), donePage) == name })
	default:
		return false
	}
}

// showOutcome answers once the login is over.
func (c *Callback) showOutcome(w http.ResponseWriter, r *http.Request) {
	// The limits of a request are for slow clients. This one waits for us.
	control := http.NewResponseController(w)
	if errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})) != nil {
		return
	}
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
	select {
	case c.shown <- struct{}{}:
	default:
	}
}

func (c *Callback) sentToUs(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	return slices.Contains(c.hosts, strings.ToLower(name))
}

func (c *Callback) answer(w http.ResponseWriter, query url.Values) {
	state := query["state"]
	if len(state) != 1 || subtle.ConstantTimeCompare([]byte(state[0]), []byte(c.state)) != 1 {
		writePage(w, http.StatusBadRequest, stalePage)
		return
	}
	c.first.Do(func() { // the browser may come twice
		grant, err := grantFrom(query)
		close(c.answered) // before Finish can be called, which else cuts this connection off
		c.granted <- answer{grant, err}
	})
	w.Header().Set("Location", donePage)
	writePage(w, http.StatusSeeOther, pageHead)
}

// grantFrom returns an [ErrLoginRefused] unless there is one usable code or
// key.
func grantFrom(query url.Values) (Grant, error) {
	if reason := refusal(query); reason != "" {
		return Grant{}, &RefusedError{reason}
	}
	secrets := append(slices.Clone(query["code"]), query["api_key"]...)
	if len(secrets) != 1 || secrets[0] == "" || len(secrets[0]) > maxAPIKeyLength || strings.ContainsFunc(secrets[0], notInAKey) {
		return Grant{}, ErrLoginRefused
	}
	return Grant{
		Code:    query.Get("code"),
		APIKey:  query.Get("api_key"),
		Email:   printable(query.Get("email"), maxEmailLength),
		Warning: printable(query.Get("warning"), maxWarningLength),
	}, nil
}

// refusal is what an answer says that is none, "" if it is one.
func refusal(query url.Values) string {
	reason := printable(query.Get("error"), maxReasonLength)
	if reason == "" {
		return ""
	}
	if more := printable(query.Get("error_description"), maxReasonLength); more != "" {
		reason += ": " + more
	}
	return reason
}

// notInAKey is what cannot be sent in a header.
func notInAKey(r rune) bool { return r <= ' ' || r > '~' }

// printable returns s on one line, without what a terminal would not show but
// obey, and cut to limit characters.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unprintable(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit])
	}
	return s
}

// The pages a person can see in the browser at the end of a login. They are
// fixed: nothing from a request is ever shown.
const (
	successPage  = pageHead + "<h1>You are logged in</h1><p>You can close this window and go back to the terminal.</p>"
	stalePage    = pageHead + "<h1>This login link is not the current one</h1><p>Use the address that the terminal shows.</p>"
	notFoundPage = pageHead + "<h1>Nothing here</h1>"

	pageHead = "<!doctype html><html lang=en><meta charset=utf-8><title>Arcade CLI</title>"
)

// failurePage says why, in a sentence of ours.
func failurePage(reason string) string {
	return pageHead + "<h1>The login failed</h1><p>" + html.EscapeString(reason) +
		"</p><p>Go back to the terminal and run <code>arcade login</code> again.</p>"
}

// writePage answers with a page that is complete and on its way when it
// returns, so that the server can be closed right after.
func writePage(w http.ResponseWriter, status int, page string) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(page)))
	// The address of the callback holds a secret: keep it out of caches and out of
	// the Referer of whatever comes next, and let the page load nothing.
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A browser that has gone does not take it back.
	_, _ = io.WriteString(w, page)
	_ = http.NewResponseController(w).Flush()
}
