package identitytest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// Start starts a Cloud with these people, on this machine.
func Start(people ...Person) *Cloud {
	c := &Cloud{
		released: make(chan struct{}), people: people, keys: map[string]string{}, codes: map[string]*code{},
		overrides: map[string]http.HandlerFunc{}, delays: map[string]time.Duration{}, counts: map[string]int{}, headers: map[string]http.Header{},
	}
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	c.URL = c.server.URL
	return c
}

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.counts[r.URL.Path]++
	c.headers[r.URL.Path] = r.Header.Clone()
	override, delay := c.overrides[r.URL.Path], c.delays[r.URL.Path]
	c.mu.Unlock()
	if override != nil {
		override(w, r)
		return
	}
	answer := httptest.NewRecorder()
	c.route(answer, r)
	select {
	case <-time.After(delay):
	case <-c.released:
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (c *Cloud) route(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case r.URL.Path == ConfigPath && !c.behaviour.KeysOnly:
		c.config(w)
	case r.URL.Path == DiscoveryPath && c.behaviour.Engine != "":
		c.discovery(w)
	case r.URL.Path == AuthorizePath:
		c.authorize(w, r)
	case r.URL.Path == TokenPath:
		c.token(w, r)
	case r.URL.Path == ValidatePath:
		c.validate(w, r)
	case r.URL.Path == WhoAmIPath:
		c.whoAmI(w, r)
	case strings.HasPrefix(r.URL.Path, OrgsPath):
		c.organisations(w, r)
	default:
		http.NotFound(w, r)
	}
}
