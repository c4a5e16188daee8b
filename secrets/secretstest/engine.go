// Package secretstest is a small stand-in for Arcade's Engine: real HTTP on a loopback port, the three calls of both
// generations, a log of every request and faults by name. It says in its error texts what it was sent, as real servers
// do, so that a test sees whether a client passes a server's words on.
package secretstest

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Item is a secret as the Engine keeps it.
type Item struct {
	ID, Key, Value, Description, Type string // Type is that of its binding
}

// Request is one that arrived.
type Request struct {
	Method        string
	Path          string // as it stood on the wire, still escaped
	Query         string
	Authorization string
	Key           string // the key of a PUT, the id of a DELETE
	Body          string
	json          bool // it says that its body is JSON
}

// Mode is the way in which a [Fault] goes wrong.
type Mode string

// The modes of a [Fault]. Status and NotHTTP repeat what was sent.
const (
	Status    Mode = "status"     // Fault.Status, with an error text
	Body      Mode = "body"       // Fault.Status, or 200, with Fault.Body, of the type that net/http sees in it
	Reset     Mode = "reset"      // the connection is reset instead of an answer
	Hang      Mode = "hang"       // no answer, until the client or the test gives up
	NotHTTP   Mode = "not http"   // a status line that is none
	ShortBody Mode = "short body" // 200, and less than the length that was announced
	SlowBody  Mode = "slow body"  // 200, the beginning of a body, and then nothing
)

// Fault is what goes wrong with matching requests.
type Fault struct {
	Mode   Mode
	Method string // "" matches all
	Key    string // the key of a PUT or the id of a DELETE; "" matches all
	Times  int    // how often; 0 means always
	Status int    // of Mode Status and Body
	Body   string // of Mode Body

	Challenge, Location, RetryAfter string // headers of an answer that has some; "" means none

	taken int
}

// Engine is a running stand-in. Its methods may be called while requests are under way.
type Engine struct {
	*httptest.Server
	release context.CancelFunc // lets go of requests that a fault holds

	mu       sync.Mutex
	trusts   func(token string) bool
	items    []Item
	faults   []*Fault
	requests []Request
	lastID   int
}

// collection matches the two generations' paths: the collection and, behind it, at most one segment.
var collection = regexp.MustCompile(`^/v1/(?:admin|orgs/[^/]+/projects/[^/]+)/secrets(?:/([^/]+))?$`)

// Start starts an Engine that accepts one bearer token, by plain HTTP.
func Start(token string) *Engine { return start(token, (*httptest.Server).Start) }

// StartTLS is Start with a certificate of an unknown authority.
func StartTLS(token string) *Engine { return start(token, (*httptest.Server).StartTLS) }

func start(token string, begin func(*httptest.Server)) *Engine {
	ctx, release := context.WithCancel(context.Background())
	e := &Engine{release: release, trusts: func(given string) bool { return given == token }}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(e.serve))
	e.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	e.Config.ErrorLog = log.New(io.Discard, "", 0) // faults and refused handshakes are meant
	begin(e.Server)
	return e
}

// CertificatePEM is the certificate of StartTLS, for a test that wants it trusted: write it to
// a file and name that in SSL_CERT_FILE. It is for 127.0.0.1, ::1 and example.com.
func (e *Engine) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw})
}

// Close stops the server.
func (e *Engine) Close() {
	e.release()
	e.Server.Close()
}

// Inject adds a fault. The last one that matches a request is played.
func (e *Engine) Inject(f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append([]*Fault{&f}, e.faults...)
}

// Answer makes GET answer document, whatever is stored.
func (e *Engine) Answer(document string) {
	e.Inject(Fault{Mode: Body, Method: http.MethodGet, Body: document})
}

// Trust makes it accept, beside its own token, those that trusts knows.
func (e *Engine) Trust(trusts func(token string) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.trusts
	e.trusts = func(token string) bool { return before(token) || trusts(token) }
}

// Add stores a secret as no PUT can: beside one with the same key.
func (e *Engine) Add(item Item) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.add(item)
}

// add is called with the lock held.
func (e *Engine) add(item Item) {
	e.lastID++
	item.ID = fmt.Sprintf("sec_%04d", e.lastID)
	e.items = append(e.items, item)
}

// Items are the stored secrets, in the order in which they were created.
func (e *Engine) Items() []Item {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.items)
}

// Requests are those that arrived so far, in order of arrival.
func (e *Engine) Requests() []Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.requests)
}

func (e *Engine) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	req := Request{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
		Authorization: r.Header.Get("Authorization"), Body: string(body), json: r.Header.Get("Content-Type") == "application/json"}
	if found := collection.FindStringSubmatch(req.Path); found != nil {
		req.Key, _ = url.PathUnescape(found[1]) // net/http has unescaped it already
	}
	e.mu.Lock()
	e.requests = append(e.requests, req)
	faults := e.faults
	due := slices.IndexFunc(faults, func(f *Fault) bool { return f.take(req) })
	if due < 0 {
		e.answer(w, req)
	}
	e.mu.Unlock()
	if due >= 0 {
		faults[due].play(w, r, req)
	}
}

// take is called with the engine's lock held.
func (f *Fault) take(req Request) bool {
	spent := f.Times > 0 && f.taken == f.Times
	if spent || f.Method != "" && f.Method != req.Method || f.Key != "" && f.Key != req.Key {
		return false
	}
	f.taken++
	return true
}

func (f *Fault) play(w http.ResponseWriter, r *http.Request, req Request) {
	for name, value := range map[string]string{"Retry-After": f.RetryAfter, "WWW-Authenticate": f.Challenge, "Location": f.Location} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	switch f.Mode {
	case Status:
		refuse(w, f.Status, req)
	case Body:
		w.WriteHeader(cmp.Or(f.Status, http.StatusOK))
		fmt.Fprint(w, f.Body)
	case ShortBody:
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"items": [`)
	case SlowBody:
		fmt.Fprint(w, `{"items": [`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case Hang:
		<-r.Context().Done()
	case Reset, NotHTTP: // net/http would let no handler say these
		conn, _, _ := http.NewResponseController(w).Hijack() // never fails for HTTP/1
		defer conn.Close()
		if f.Mode == NotHTTP {
			fmt.Fprintf(conn, "%s\r\n\r\n", echo(req))
		} else {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
	}
}

// answer is called with the lock held.
func (e *Engine) answer(w http.ResponseWriter, req Request) {
	token, bearer := strings.CutPrefix(req.Authorization, "Bearer ")
	at := slices.IndexFunc(e.items, func(i Item) bool {
		return req.Method == http.MethodPut && i.Key == req.Key || req.Method == http.MethodDelete && i.ID == req.Key
	})
	item := Item{Key: req.Key}
	readable := req.json && json.Unmarshal([]byte(req.Body), &item) == nil && item.Value != ""
	switch {
	case !bearer || !e.trusts(token):
		refuse(w, http.StatusUnauthorized, req)
	case req.Method == http.MethodGet && strings.HasSuffix(req.Path, "/secrets"):
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, e.listing())
	case req.Method == http.MethodPut && req.Key != "" && !readable:
		refuse(w, http.StatusBadRequest, req)
	case req.Method == http.MethodPut && req.Key != "":
		if at >= 0 {
			e.items[at].Value, e.items[at].Description = item.Value, item.Description
		} else {
			e.add(item)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"key": %q}`, req.Key)
	case req.Method == http.MethodDelete && at >= 0:
		e.items = slices.Delete(e.items, at, at+1)
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusNotFound, req)
	}
}

// listing is called with the lock held.
func (e *Engine) listing() string {
	entries := []map[string]any{}
	for _, i := range e.items {
		shown := map[string]any{"id": i.ID, "key": i.Key, "binding": map[string]string{"type": cmp.Or(i.Type, "project")},
			"description": i.Description, "hint": nil, "last_accessed_at": nil, "created_at": "2026-01-02T03:04:05Z"}
		if runes := []rune(i.Value); len(runes) >= 16 {
			shown["hint"] = string(runes[len(runes)-4:])
		}
		entries = append(entries, shown)
	}
	text, _ := json.Marshal(map[string]any{"items": entries})
	return string(text)
}

// refuse answers with an error that repeats all that was sent.
func refuse(w http.ResponseWriter, status int, req Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	document, _ := json.Marshal(map[string]string{"name": "error", "message": echo(req)})
	fmt.Fprintln(w, string(document))
}

// echo is everything a careless server might put into its words.
func echo(req Request) string {
	return fmt.Sprintf("cannot %s %s with %s: %s", req.Method, req.Path, req.Authorization, req.Body)
}
