// Package identitytest is a stand-in for Arcade Cloud: real HTTP on a loopback port, both
// generations of the login, PKCE that is verified, codes that work once, refresh tokens of which
// a second use ends the login, and faults by path. Its errors repeat what it was sent, as those of
// real servers do, to show whether a client passes them on.
package identitytest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
)

// The paths of the calls, for [Cloud.Override] and [Cloud.Count].
const (
	ConfigPath    = "/api/v1/auth/cli_config"
	AuthorizePath = "/oauth/authorize"
	TokenPath     = "/oauth/token"
	WhoAmIPath    = "/api/v1/auth/whoami"
	ValidatePath  = "/api/v1/auth/validate"
	DiscoveryPath = "/.well-known/arcade"
	OrgsPath      = "/api/v1/orgs"
)

// clientID is the public client that the stand-in knows.
const clientID = "arcade-cli"

// Person has an account.
type Person struct {
	PrincipalID string
	Email       string
	Key         string // an API key of theirs, "" for none
	Orgs        []Org
}

// Org is an organisation with its projects.
type Org struct {
	ID       string    `json:"org_id"`
	Name     string    `json:"name"`
	Default  bool      `json:"is_default"`
	Projects []Project `json:"-"`
}

// Project is a project of an organisation.
type Project struct {
	ID      string `json:"project_id"`
	Name    string `json:"name"`
	Default bool   `json:"is_default"`
}

// Behaviour is what differs between one Cloud and another. The zero value is today's, with
// tokens for an hour and refresh tokens that are replaced at each use.
type Behaviour struct {
	// Engine makes the Cloud describe an installation with this Engine, and, unless NoCoordinator
	// is set, with itself.
	Engine        string
	NoCoordinator bool
	RedirectURI   string // that is registered
	AuthorizeURL  string // in cli_config, "" for the stand-in's own
	TokenURL      string // likewise
	ForgiveReuse  bool   // a refresh token that was replaced still works
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
	signedIn   string           // the e-mail of the person in the browser, "" for the first one
	codes      map[string]*code // nil for one that was used
	access     map[string]*session
	refresh    map[string]*session
	calls      map[string]*call // by path
	violations []string
	last       int
}

// call is what is known of the requests to a path, and what was ordered for them.
type call struct {
	count    int
	header   http.Header // of the last one
	override http.HandlerFunc
}

// session is one login: its tokens end together.
type session struct {
	email   string
	refresh string // the last token; the use of an earlier one is a theft
	ended   bool
}

// code is what the login page hands out.
type code struct{ challenge, redirectURI, email string }

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
	c.signedIn = p.Email
}

// Knows reports whether a key or an access token is good.
func (c *Cloud) Knows(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	login := c.access[token]
	return c.ownerOf(token) != nil || login != nil && !login.ended
}

// Login makes a login without a browser, and returns its tokens.
func (c *Cloud) Login(email string) (access, refresh string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newTokens(&session{email: email})
}

// Override answers a path by handler, nil for the usual answer. A handler can also give that, by
// [Cloud.Answer].
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

// call returns what is known of a path. It is called with the mutex held, as are all below.
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

// newTokens makes another access token of a login, and replaces its refresh token.
func (c *Cloud) newTokens(login *session) (access, refresh string) {
	access, refresh = c.next("access"), c.next("refresh")
	c.access[access], c.refresh[refresh] = login, login
	login.refresh = refresh
	return access, refresh
}

// ownerOf returns the person with this key, nil for none.
func (c *Cloud) ownerOf(key string) *Person {
	at := slices.IndexFunc(c.people, func(p Person) bool { return p.Key == key && key != "" })
	if at < 0 {
		return nil
	}
	return &c.people[at]
}

// person returns the one with this address, the first one for "".
func (c *Cloud) person(email string) Person {
	return c.people[slices.IndexFunc(c.people, func(p Person) bool { return p.Email == email || email == "" })]
}
