// Package secretstest is a small stand-in for Arcade's Engine: real HTTP on a loopback port,
// the three calls of both generations, a log of every request and faults by name. It says
// in its error texts what it was sent, as real servers do, so that a test sees whether a
// client passes a server's words on.
package secretstest

import (
	"cmp"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
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
	ID          string
	Key         string
	Type        string // of its binding
	Value       string
	Description string
}

// Engine is a running stand-in. Its methods may be called while requests are under way.
type Engine struct {
	URL string // without a path

	server   *httptest.Server
	token    string
	released chan struct{}

	mu       sync.Mutex
	trusts   func(token string) bool // beside that token; nil trusts no other
	scopes   map[string][]Item       // by path prefix
	list     string                  // a document that GET answers instead of the items
	faults   []*Fault
	requests []Request
	lastID   int
}

// adminScope is the path prefix of the API-key generation.
const adminScope = "v1/admin/secrets"

// Start starts an Engine that accepts one bearer token, by plain HTTP.
func Start(token string) *Engine { return start(token, (*httptest.Server).Start) }

// StartTLS is Start with a certificate of an authority that nobody trusts.
func StartTLS(token string) *Engine { return start(token, (*httptest.Server).StartTLS) }

func start(token string, begin func(*httptest.Server)) *Engine {
	e := &Engine{token: token, released: make(chan struct{}), scopes: make(map[string][]Item)}
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(e.serve))
	e.server.Config.ErrorLog = log.New(io.Discard, "", 0) // faults and refused handshakes are meant
	begin(e.server)
	e.URL = e.server.URL
	return e
}

// CertificatePEM is the certificate of StartTLS, for a test that wants it trusted: write it to
// a file and name that in SSL_CERT_FILE. It is for 127.0.0.1, ::1 and example.com.
func (e *Engine) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.server.Certificate().Raw})
}

// Close lets go of requests that a fault holds and stops the server.
func (e *Engine) Close() {
	close(e.released)
	e.server.Close()
}

// Answer makes GET answer document, whatever is stored. "" ends that.
func (e *Engine) Answer(document string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = document
}

// Inject adds a fault. The first one that matches a request is played.
func (e *Engine) Inject(f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, &f)
}

// Trust makes it accept, beside its own token, those that trusts knows.
func (e *Engine) Trust(trusts func(token string) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trusts = trusts
}

func (e *Engine) accepts(authorization string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	token, bearer := strings.CutPrefix(authorization, "Bearer ")
	return bearer && (token == e.token || e.trusts != nil && e.trusts(token))
}

// Add stores a secret of the API-key generation as no PUT can: beside one with the same key.
func (e *Engine) Add(item Item) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scopes[adminScope] = append(e.scopes[adminScope], e.numbered(item))
}

// Items are the stored secrets of all projects, in the order in which they were created.
func (e *Engine) Items() []Item {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []Item
	for _, scope := range slices.Sorted(maps.Keys(e.scopes)) {
		all = append(all, e.scopes[scope]...)
	}
	return all
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
		Authorization: r.Header.Get("Authorization"), Body: string(body)}
	scope, segment, routed := route(req.Path)
	req.Key = segment
	var put struct {
		Description string `json:"description"`
		Value       string `json:"value"`
	}
	malformed := r.Method == http.MethodPut && (json.Unmarshal(body, &put) != nil || r.Header.Get("Content-Type") != "application/json")
	req.Value = put.Value

	fault := e.arrive(req)
	if fault != nil && !fault.Commit {
		fault.play(w, r, e.released, req)
		return
	}
	answer := w
	if fault != nil {
		answer = httptest.NewRecorder() // committed, but the answer is the fault's
		defer fault.play(w, r, e.released, req)
	}
	switch {
	case !e.accepts(req.Authorization):
		refuse(answer, http.StatusUnauthorized, req)
	case !routed:
		refuse(answer, http.StatusNotFound, req)
	case malformed || (r.Method == http.MethodPut && put.Value == ""):
		refuse(answer, http.StatusBadRequest, req)
	default:
		e.handle(answer, scope, req, put.Description)
	}
}

// route takes the two generations' paths apart: the collection and, behind it, at most one
// segment, unescaped.
func route(path string) (scope, segment string, ok bool) {
	found := regexp.MustCompile(`^/(v1/admin/secrets|v1/orgs/[^/]+/projects/[^/]+/secrets)(?:/([^/]+))?$`).FindStringSubmatch(path)
	if found == nil {
		return "", "", false
	}
	segment, err := url.PathUnescape(found[2])
	return found[1], segment, err == nil
}

func (e *Engine) handle(w http.ResponseWriter, scope string, req Request, description string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	items := e.scopes[scope]
	switch {
	case req.Method == http.MethodGet && req.Key == "":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, cmp.Or(e.list, listing(items)))
	case req.Method == http.MethodPut && req.Key != "":
		e.scopes[scope] = e.upsert(items, Item{Key: req.Key, Value: req.Value, Description: description})
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"key": %q}`, req.Key)
	case req.Method == http.MethodDelete && req.Key != "":
		at := slices.IndexFunc(items, func(i Item) bool { return i.ID == req.Key })
		if at < 0 {
			refuse(w, http.StatusNotFound, req)
			return
		}
		e.scopes[scope] = slices.Delete(slices.Clone(items), at, at+1)
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusMethodNotAllowed, req)
	}
}

// numbered is a new item with its id. Called with the lock held.
func (e *Engine) numbered(item Item) Item {
	e.lastID++
	item.ID = fmt.Sprintf("sec_%04d", e.lastID)
	return item
}

// upsert is called with the lock held.
func (e *Engine) upsert(items []Item, item Item) []Item {
	at := slices.IndexFunc(items, func(i Item) bool { return i.Key == item.Key })
	if at < 0 {
		return append(items, e.numbered(item))
	}
	item.ID = items[at].ID
	items[at] = item
	return items
}

func listing(items []Item) string {
	entries := []map[string]any{}
	for _, i := range items {
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

func (e *Engine) arrive(req Request) *Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests = append(e.requests, req)
	for _, fault := range e.faults {
		if fault.take(req) {
			return fault
		}
	}
	return nil
}
