package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// callbackPatience is how long one browser request may take, from the
	// first byte to the last.
	callbackPatience = 3 * time.Second
	// maxCallbackConnections is per address. A browser opens a handful; who
	// comes later waits until one is closed.
	maxCallbackConnections = 64
	// maxCallbackHeader is that of a request with all a browser may add, in
	// bytes. The key comes in the first line.
	maxCallbackHeader = 32 << 10
)

// Lengths beyond which the callback's values are no such thing, in characters.
const (
	maxAPIKeyLength  = 4096
	maxEmailLength   = 254 // RFC 5321
	maxWarningLength = 1000
)

// ErrLoginRefused says that the browser came back without an API key.
var ErrLoginRefused = errors.New("the login was not completed in the browser")

// PortTakenError says that another program listens where the browser is going
// to bring the key.
type PortTakenError struct{ Port int }

func (e *PortTakenError) Error() string {
	return fmt.Sprintf("port %d, which the browser needs to report the login, is in use", e.Port)
}

// Grant is what a login in the browser yields.
type Grant struct {
	APIKey string
	// Email is whose key it is, and Warning a text to show, if any; both can be
	// printed on a terminal.
	Email, Warning string
}

// String hides the key, so that no print of a structure can leak it.
func (g Grant) String() string { return fmt.Sprintf("grant for %q", g.Email) }

// GoString is String.
func (g Grant) GoString() string { return g.String() }

// Callback is the server to which the browser brings the key. It listens on
// this machine's own addresses only and answers one request: the one that
// shows the state of this login.
type Callback struct {
	state     string
	hosts     []string // that a request may have been sent to
	paths     []string
	listeners []net.Listener
	server    *http.Server
	granted   chan Grant // receives the one answer; an empty one is a refusal
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
		granted:   make(chan Grant, 1),
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

// Wait returns what the browser brings, after the browser has got its page, and
// closes the server. The error is [ErrLoginRefused], or wraps the context's.
func (c *Callback) Wait(ctx context.Context) (Grant, error) {
	defer c.Close()
	select {
	case grant := <-c.granted:
		if grant.APIKey == "" {
			return Grant{}, ErrLoginRefused
		}
		return grant, nil
	case <-ctx.Done():
		return Grant{}, fmt.Errorf("wait for the browser: %w", ctx.Err())
	}
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
	switch {
	case !c.sentToUs(r.Host):
		// A foreign name that resolves to this machine (DNS rebinding).
		writePage(w, http.StatusMisdirectedRequest, notFoundPage)
	case !slices.Contains(c.paths, r.URL.Path):
		writePage(w, http.StatusNotFound, notFoundPage)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		writePage(w, http.StatusMethodNotAllowed, notFoundPage)
	default:
		c.answer(w, r.URL.Query())
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
	grant, ok := grantFrom(query)
	if ok {
		writePage(w, http.StatusOK, successPage)
	} else {
		writePage(w, http.StatusBadRequest, failurePage)
	}
	select {
	case c.granted <- grant:
	default: // the browser came twice; the first time counts
	}
}

// grantFrom returns an empty grant and false unless there is one usable key.
func grantFrom(query url.Values) (Grant, bool) {
	key := query["api_key"]
	if len(key) != 1 || key[0] == "" || len(key[0]) > maxAPIKeyLength || strings.ContainsFunc(key[0], notInAKey) {
		return Grant{}, false
	}
	return Grant{
		APIKey:  key[0],
		Email:   printable(query.Get("email"), maxEmailLength),
		Warning: printable(query.Get("warning"), maxWarningLength),
	}, true
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
