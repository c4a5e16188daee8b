package identity

import (
	"io"
	"net/http"
	"strconv"
)

// The pages a person can see in the browser at the end of a login. They are
// constants: nothing from a request is ever shown.
const (
	successPage  = pageHead + "<h1>You are logged in</h1><p>You can close this window and go back to the terminal.</p>"
	failurePage  = pageHead + "<h1>The login was not completed</h1><p>Go back to the terminal and run <code>arcade login</code> again.</p>"
	stalePage    = pageHead + "<h1>This login link is not the current one</h1><p>Use the address that the terminal shows.</p>"
	notFoundPage = pageHead + "<h1>Nothing here</h1>"

	pageHead = "<!doctype html><html lang=en><meta charset=utf-8><title>Arcade CLI</title>"
)

// writePage answers with a page that is complete and on its way when it
// returns, so that the server can be closed right after.
func writePage(w http.ResponseWriter, status int, page string) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(page)))
	// The address of the page holds the key: keep it out of caches and out of
	// the Referer of whatever comes next, and let the page load nothing.
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A browser that has gone does not take the key back.
	_, _ = io.WriteString(w, page)
	_ = http.NewResponseController(w).Flush()
}
