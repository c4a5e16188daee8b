// Package identitytest is a stand-in for Arcade Cloud: real HTTP on a loopback port, both
// generations of the login, PKCE that is verified, codes that work once, refresh tokens of which
// a second use ends the login, and faults by path. Its errors repeat what it was sent, as those of
// real servers do, to show whether a client passes them on.
package identitytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// The paths of the calls, for [Cloud.Override], [Cloud.Delay] and [Cloud.Count].
const (
	ConfigPath    = "/api/v1/auth/cli_config"
	AuthorizePath = "/oauth/authorize"
	TokenPath     = "/oauth/token"
	WhoAmIPath    = "/api/v1/auth/whoami"
	ValidatePath  = "/api/v1/auth/validate"
	DiscoveryPath = "/.well-known/arcade"
	OrgsPath      = "/api/v1/orgs"
)

// ClientID is the public client that the stand-in knows.
const ClientID = "arcade-cli"

// Person has an account.
type Person struct {
	PrincipalID string
	Email       string
	Orgs        []Org
}

// Org is an organisation with its projects.
type Org struct {
	ID, Name string
	Default  bool
	Projects []Project
}

// Project is a project of an organisation.
type Project struct {
	ID, Name string
	Default  bool
}

// Behaviour is what differs between one Cloud and another. The zero value is today's, with
// tokens for an hour and refresh tokens that are replaced at each use.
type Behaviour struct {
	// Engine makes the Cloud describe an installation with this Engine. NoCoordinator leaves the
	// Cloud itself out of that, Nested puts it as older installations do.
	Engine                string
	NoCoordinator, Nested bool
	KeysOnly              bool   // no login in the browser
	SignedIn              string // the e-mail of the person in the browser, "" for the first one
	Deny, DenyDescription string // an OAuth error in the place of a code
	RedirectURI           string // that is registered, "" for http://127.0.0.1:9905/callback
	AuthorizeURL          string // in cli_config, "" for the stand-in's own
	TokenURL              string // likewise
	ExpiresIn             int    // seconds, 0 for 3600
	KeepRefreshToken      bool   // a renewal yields none, and the old one stays good
	ForgiveReuse          bool   // a refresh token that was replaced still works
	// Strong authentication is asked for in one of three places: by a 401 to calls, by a 400 with
	// the words of CodeRefusal to a code or a refresh token, or by the status MFA in whoami.
	Insufficient bool
	CodeRefusal  map[string]any
	MFA          string
}

// Cloud is a running stand-in. Its methods may be called while requests are under way.
type Cloud struct {
	URL      string
	server   *httptest.Server
	released chan struct{}

	mu         sync.Mutex
	behaviour  Behaviour
	people     []Person
	keys       map[string]string // API key -> principal
	codes      map[string]*code
	access     map[string]*session
	refresh    map[string]*refreshToken
	calls      map[string]*call // by path
	violations []string
	last       int
}

// call is what is known of the requests to a path, and what was ordered for them.
type call struct {
	count    int
	header   http.Header // of the last one
	override http.HandlerFunc
	delay    time.Duration
}

// session is one login: its tokens end together.
type session struct {
	email string
	ended bool
}

func (s *session) isGood() bool { return s != nil && !s.ended }

type refreshToken struct {
	session  *session
	replaced bool // a second use is a theft
}

// code is what the login page hands out.
type code struct {
	challenge, redirectURI, email string
	used                          bool
	session                       *session // that was made of it
}

// Close ends it, and every call that hangs.
func (c *Cloud) Close() {
	close(c.released)
	c.server.CloseClientConnections()
	c.server.Close()
}

// Set changes how it behaves.
func (c *Cloud) Set(change func(*Behaviour)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.behaviour)
}

// Meet puts a person, who has an account from now on, in front of the browser.
func (c *Cloud) Meet(p Person) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.people = append(slices.DeleteFunc(c.people, func(known Person) bool { return known.Email == p.Email }), p)
	c.behaviour.SignedIn = p.Email
}

// AddKey makes an API key of principal's good.
func (c *Cloud) AddKey(key, principal string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[key] = principal
}

// Knows reports whether a key or an access token is good.
func (c *Cloud) Knows(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, found := c.keys[token]
	return found || c.access[token].isGood()
}

// Override answers a path by handler, nil for the usual answer.
func (c *Cloud) Override(path string, handler http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.call(path).override = handler
}

// Hang lets a path never answer.
func (c *Cloud) Hang(path string) {
	c.Override(path, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-c.released:
		}
	})
}

// Delay makes a path answer later; what it does is done at once.
func (c *Cloud) Delay(path string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.call(path).delay = d
}

// Count is how often a path was asked.
func (c *Cloud) Count(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.call(path).count
}

// Header is that of the last request to a path.
func (c *Cloud) Header(path string) http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.call(path).header
}

// Violations are breaches of the rules by a client, such as a code shown twice.
func (c *Cloud) Violations() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.violations)
}

// call returns what is known of a path. It is called with the mutex held, as are all below but serve.
func (c *Cloud) call(path string) *call {
	if c.calls[path] == nil {
		c.calls[path] = &call{}
	}
	return c.calls[path]
}

func (c *Cloud) violation(format string, args ...any) {
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// next makes a new name.
func (c *Cloud) next(kind string) string {
	c.last++
	return fmt.Sprintf("%s_SENTINEL_%d", kind, c.last)
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

type object = map[string]any

// discovery describes the installation; the Cloud's address has the path of its API.
func (c *Cloud) discovery(w http.ResponseWriter) {
	parts := object{"engine": c.behaviour.Engine, "dashboard": c.URL + "/dashboard", "version": "1.0"}
	if !c.behaviour.NoCoordinator {
		parts["coordinator"] = c.URL + "/api/v1"
	}
	if c.behaviour.Nested {
		parts = object{"urls": parts, "deployments": object{"enabled": false, "reason": "none here"}}
	}
	writeJSON(w, http.StatusOK, parts)
}

func (c *Cloud) validate(w http.ResponseWriter, r *http.Request) {
	principal, ok := c.keys[bearer(r)]
	if !ok {
		writeJSON(w, http.StatusUnauthorized, object{"detail": "not a key: " + bearer(r)})
		return
	}
	writeJSON(w, http.StatusOK, object{"data": object{"principal_id": principal}})
}

func (c *Cloud) whoAmI(w http.ResponseWriter, r *http.Request) {
	p, ok := c.authenticated(w, r)
	if !ok {
		return
	}
	data := object{"account_id": p.PrincipalID, "email": p.Email, "organizations": orgsOf(p), "projects": projectsOf(p.Orgs...)}
	if c.behaviour.MFA != "" {
		data["mfa"] = object{"status": c.behaviour.MFA}
	}
	writeJSON(w, http.StatusOK, object{"data": data})
}

// organisations answers /orgs and /orgs/{id}/projects.
func (c *Cloud) organisations(w http.ResponseWriter, r *http.Request) {
	p, ok := c.authenticated(w, r)
	if !ok {
		return
	}
	lists := map[string][]object{OrgsPath: orgsOf(p)}
	for _, org := range p.Orgs {
		lists[OrgsPath+"/"+org.ID+"/projects"] = projectsOf(org)
	}
	if items, found := lists[r.URL.Path]; found {
		writeJSON(w, http.StatusOK, object{"data": object{"items": items}})
		return
	}
	writeJSON(w, http.StatusNotFound, object{"detail": "no such organisation: " + r.URL.Path})
}

func orgsOf(p Person) []object {
	orgs := []object{}
	for _, org := range p.Orgs {
		orgs = append(orgs, object{"org_id": org.ID, "name": org.Name, "is_default": org.Default})
	}
	return orgs
}

func projectsOf(orgs ...Org) []object {
	projects := []object{}
	for _, org := range orgs {
		for _, p := range org.Projects {
			projects = append(projects, object{"project_id": p.ID, "name": p.Name, "is_default": p.Default})
		}
	}
	return projects
}

// authenticated finds the person behind an access token, or answers 401.
func (c *Cloud) authenticated(w http.ResponseWriter, r *http.Request) (Person, bool) {
	if c.behaviour.Insufficient {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_user_authentication", error_description="SENTINEL: a passkey"`)
		writeJSON(w, http.StatusUnauthorized, object{"detail": "too weak: " + bearer(r)})
		return Person{}, false
	}
	if s := c.access[bearer(r)]; s.isGood() {
		return c.person(s.email)
	}
	writeJSON(w, http.StatusUnauthorized, object{"detail": "not a token: " + bearer(r)})
	return Person{}, false
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

func (c *Cloud) person(email string) (Person, bool) {
	for _, p := range c.people {
		if p.Email == email || email == "" {
			return p, true
		}
	}
	return Person{}, false
}
