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
	// callbackPatience is how long one browser request may take, from the
	// first byte to the last; the page that waits for the login has its own.
	callbackPatience = 3 * time.Second
	// maxCallbackHeader is that of a request with all a browser may add, in
	// bytes: the cookies of every server that ever ran on this machine, whatever
	// its port.
	maxCallbackHeader = 2 << 20
	// pagePatience is how long a login that is over waits for the browser to
	// fetch its last page.
	pagePatience = time.Second
	// donePage is where the browser is sent from the callback, beside it: the
	// address it then shows and remembers holds no code.
	donePage = "done"
	// callbackPath is the only one that Arcade Cloud knows.
	callbackPath = "/callback"
)

// CallbackPort is the port of the callback server that Arcade Cloud knows.
const CallbackPort = 9905

// Lengths beyond which the callback's values are no such thing, in characters.
const (
	maxCodeLength   = 4096
	maxEmailLength  = 254 // RFC 5321
	maxReasonLength = 300
)

// ErrLoginRefused says that the browser came back without a code.
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
// to bring the code.
type PortTakenError struct{ Port int }

func (e *PortTakenError) Error() string {
	return fmt.Sprintf("port %d, which the browser needs to report the login, is in use", e.Port)
}

// Callback is the server to which the browser brings the code. It
// listens on this machine's own addresses only and answers one request: the one
// that shows the state of this login. The browser is told how the login ended
// only once [Callback.Finish] says so.
type Callback struct {
	state     string
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
	code string
	err  error
}

// ListenCallback starts the server for the state of [OAuth.LoginURL]. Port is
// [CallbackPort], or 0 for a free one. The caller must close it. The error can
// be a [*PortTakenError].
func ListenCallback(state string, port int) (*Callback, error) {
	return listenCallback(state, port, callbackPatience)
}

func listenCallback(state string, port int, patience time.Duration) (*Callback, error) {
	if state == "" {
		return nil, errors.New("listen for the browser: needs a state")
	}
	listeners, err := listenLoopback(port)
	if err != nil {
		return nil, err
	}
	c := &Callback{
		state:     state,
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
// either: if another program had one of them, it could get the code. A machine
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
		listeners = append(listeners, l)
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
		// What it would log quotes requests, and one of them holds the code.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	c.server.SetKeepAlivesEnabled(false)
	for _, l := range c.listeners {
		go c.server.Serve(l) // ends when Close closes l
	}
}

// Port is that of all its addresses.
func (c *Callback) Port() int { return c.listeners[0].Addr().(*net.TCPAddr).Port }

// RedirectURI is where the login page has to send the browser. Arcade Cloud
// knows exactly the one on [CallbackPort].
func (c *Callback) RedirectURI() string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", c.Port(), callbackPath)
}

// Answered is closed when the browser has come.
func (c *Callback) Answered() <-chan struct{} { return c.answered }

// Wait returns the code for [OAuth.Exchange] that the browser brings. The browser waits from then on for
// [Callback.Finish]. The error is [ErrLoginRefused], perhaps as a
// [*RefusedError], or wraps the context's.
func (c *Callback) Wait(ctx context.Context) (string, error) {
	select {
	case a := <-c.granted:
		return a.code, a.err
	case <-ctx.Done():
		c.Close()
		return "", fmt.Errorf("wait for the browser: %w", ctx.Err())
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
	callback := r.URL.Path == callbackPath
	switch {
	case !sentToUs(r.Host):
		// A foreign name that resolves to this machine (DNS rebinding).
		writePage(w, http.StatusMisdirectedRequest, notFoundPage)
	case !callback && (r.URL.Path != "/"+donePage || !c.wasAnswered()):
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

// wasAnswered says whether the browser came: before that there is no other page.
func (c *Callback) wasAnswered() bool {
	select {
	case <-c.answered:
		return true
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

func sentToUs(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	return slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, strings.ToLower(name))
}

func (c *Callback) answer(w http.ResponseWriter, query url.Values) {
	state := query["state"]
	if len(state) != 1 || subtle.ConstantTimeCompare([]byte(state[0]), []byte(c.state)) != 1 {
		writePage(w, http.StatusBadRequest, stalePage)
		return
	}
	c.first.Do(func() { // the browser may come twice
		code, err := codeFrom(query)
		close(c.answered) // before Finish can be called, which else cuts this connection off
		c.granted <- answer{code, err}
	})
	w.Header().Set("Location", donePage)
	writePage(w, http.StatusSeeOther, pageHead)
}

// codeFrom returns an [ErrLoginRefused] unless there is one usable code.
func codeFrom(query url.Values) (string, error) {
	if reason := refusal(query); reason != "" {
		return "", &RefusedError{reason}
	}
	codes := query["code"]
	if len(codes) != 1 || codes[0] == "" || len(codes[0]) > maxCodeLength || strings.ContainsFunc(codes[0], notInAKey) {
		return "", ErrLoginRefused
	}
	return codes[0], nil
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
	successPage  = pageHead + "<h1>You are logged in to Arcade.</h1><p>You can close this window and go back to the terminal.</p>"
	stalePage    = pageHead + "<h1>This is not the current login link.</h1><p>Use the address that the terminal shows.</p>"
	notFoundPage = pageHead + "<h1>There is nothing here.</h1><p>The Arcade CLI waits for a login in this browser.</p>"

	pageHead = "<!doctype html><html lang=en><meta charset=utf-8><title>Arcade CLI</title>" +
		"<meta name=viewport content=\"width=device-width\"><meta name=color-scheme content=\"light dark\">"
)

// failurePage says why, in words of ours that begin like the rest of a sentence.
func failurePage(reason string) string {
	first, size := utf8.DecodeRuneInString(reason)
	sentence := string(unicode.ToUpper(first)) + strings.TrimSuffix(reason[size:], ".") + "."
	return pageHead + "<h1>The login to Arcade failed.</h1><p>" + html.EscapeString(sentence) +
		"</p><p>Go back to the terminal and run the command again.</p>"
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
