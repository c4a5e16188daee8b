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
		access: map[string]*session{}, refresh: map[string]*refreshToken{}, calls: map[string]*call{},
	}
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	c.URL = c.server.URL
	return c
}

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	asked := c.call(r.URL.Path)
	asked.count++
	asked.header = r.Header.Clone()
	override, delay := asked.override, asked.delay
	answer := httptest.NewRecorder()
	if override == nil {
		c.route(answer, r)
	}
	c.mu.Unlock()
	if override != nil {
		override(w, r)
		return
	}
	select {
	case <-time.After(delay):
	case <-c.released:
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (c *Cloud) route(w http.ResponseWriter, r *http.Request) {
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
