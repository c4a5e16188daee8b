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
	ID, Key, Value, Description string

	Type  string // of its binding
	scope string // the path of its collection
}

// Engine is a running stand-in. Its methods may be called while requests are under way.
type Engine struct {
	URL string // without a path

	server   *httptest.Server
	released chan struct{}

	mu       sync.Mutex
	trusts   func(token string) bool
	items    []Item
	list     string // a document that GET answers instead of the items
	faults   []*Fault
	requests []Request
	lastID   int
}

// collection matches the two generations' paths: the collection and, behind it, at most one segment.
var collection = regexp.MustCompile(`^(/v1/admin/secrets|/v1/orgs/[^/]+/projects/[^/]+/secrets)(?:/([^/]+))?$`)

// Start starts an Engine that accepts one bearer token, by plain HTTP.
func Start(token string) *Engine { return start(token, (*httptest.Server).Start) }

// StartTLS is Start with a certificate of an unknown authority.
func StartTLS(token string) *Engine { return start(token, (*httptest.Server).StartTLS) }

func start(token string, begin func(*httptest.Server)) *Engine {
	e := &Engine{released: make(chan struct{}), trusts: func(given string) bool { return given == token }}
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
	before := e.trusts
	e.trusts = func(token string) bool { return before(token) || trusts(token) }
}

// Add stores a secret of the API-key generation as no PUT can: beside one with the same key.
func (e *Engine) Add(item Item) {
	e.mu.Lock()
	defer e.mu.Unlock()
	item.scope = "/v1/admin/secrets"
	e.add(item)
}

// add is called with the lock held.
func (e *Engine) add(item Item) {
	e.lastID++
	item.ID = fmt.Sprintf("sec_%04d", e.lastID)
	e.items = append(e.items, item)
}

// Items are the stored secrets of all projects, in the order in which they were created.
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
		req.scope = found[1]
		req.Key, _ = url.PathUnescape(found[2]) // net/http has unescaped it already
	}
	e.mu.Lock()
	e.requests = append(e.requests, req)
	faults := e.faults
	due := slices.IndexFunc(faults, func(f *Fault) bool { return f.take(req) })
	if due < 0 {
		e.answer(w, req)
	} else if faults[due].Commit {
		e.answer(httptest.NewRecorder(), req)
	}
	e.mu.Unlock()
	if due >= 0 {
		faults[due].play(w, r, e.released, req)
	}
}

// answer is called with the lock held.
func (e *Engine) answer(w http.ResponseWriter, req Request) {
	token, bearer := strings.CutPrefix(req.Authorization, "Bearer ")
	at := slices.IndexFunc(e.items, func(i Item) bool {
		return i.scope == req.scope && (req.Method == http.MethodPut && i.Key == req.Key || req.Method == http.MethodDelete && i.ID == req.Key)
	})
	switch {
	case !bearer || !e.trusts(token):
		refuse(w, http.StatusUnauthorized, req)
	case req.Method == http.MethodGet && req.scope != "" && req.Key == "":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, cmp.Or(e.list, e.listing(req.scope)))
	case req.Method == http.MethodPut && req.Key != "":
		item := Item{Key: req.Key, scope: req.scope}
		if !req.json || json.Unmarshal([]byte(req.Body), &item) != nil || item.Value == "" {
			refuse(w, http.StatusBadRequest, req)
			return
		}
		if at >= 0 {
			item.ID, item.Type = e.items[at].ID, e.items[at].Type
			e.items[at] = item
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
func (e *Engine) listing(scope string) string {
	entries := []map[string]any{}
	for _, i := range e.items {
		if i.scope != scope {
			continue
		}
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
