// Command standin answers for Arcade, Cloud and Engine, in .ci/demo: it knows one account, takes
// every key for that account's, and keeps secrets until it ends.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		fmt.Println(listener.Addr().(*net.TCPAddr).Port)
		err = http.Serve(listener, routes())
	}
	fmt.Fprintln(os.Stderr, "standin:", err)
	os.Exit(1)
}

func routes() http.Handler {
	const account = `{"data": {"principal_id": "user_ada", "account_id": "user_ada", "email": "ada@example.com"}}`
	routes := http.NewServeMux()
	for _, call := range []string{"validate", "whoami"} {
		routes.HandleFunc("GET /api/v1/auth/"+call, func(w http.ResponseWriter, _ *http.Request) { answer(w, account) })
	}
	var kept keys
	routes.HandleFunc("PUT /v1/admin/secrets/{key}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, kept.add(r.PathValue("key")))
	})
	routes.HandleFunc("GET /v1/admin/secrets", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, `{"items": [`+kept.list()+`]}`)
	})
	return routes
}

// keys are the secrets that were set, as the Engine lists them: without their values.
type keys struct {
	mu    sync.Mutex
	items []string
}

func (k *keys) add(key string) (item string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	item = fmt.Sprintf(`{"id": "%d", "key": %q, "binding": {"type": "project"}, "created_at": %q}`,
		len(k.items)+1, key, time.Now().UTC().Format(time.RFC3339))
	k.items = append(k.items, item)
	return item
}

func (k *keys) list() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.Join(k.items, ",")
}

func answer(w http.ResponseWriter, document string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintln(w, document)
}
