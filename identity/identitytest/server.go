package identitytest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
)

type object = map[string]any

// Start starts a Cloud with these people, on this machine.
func Start(people ...Person) *Cloud {
	c := &Cloud{released: make(chan struct{}), people: people, codes: map[string]*code{},
		access: map[string]*session{}, refresh: map[string]*session{}, calls: map[string]*call{}}
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	c.URL = c.server.URL
	return c
}

func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	asked := c.call(r.URL.Path)
	asked.count++
	asked.header = r.Header.Clone()
	answer := asked.override
	c.mu.Unlock()
	if answer == nil {
		answer = c.Answer
	}
	answer(w, r)
}

// Answer gives the usual answer.
func (c *Cloud) Answer(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock() // for all below
	defer c.mu.Unlock()
	switch {
	case r.URL.Path == ConfigPath:
		writeJSON(w, http.StatusOK, object{
			"client_id":              clientID,
			"authorization_endpoint": cmp.Or(c.behaviour.AuthorizeURL, c.URL+AuthorizePath+"?tenant=t1"),
			"token_endpoint":         cmp.Or(c.behaviour.TokenURL, c.URL+TokenPath),
		})
	case r.URL.Path == DiscoveryPath && c.behaviour.Engine != "":
		parts := object{"engine": c.behaviour.Engine, "coordinator": c.URL + "/api/v1"} // with the path of its API
		if c.behaviour.NoCoordinator {
			delete(parts, "coordinator")
		}
		writeJSON(w, http.StatusOK, parts)
	case r.URL.Path == AuthorizePath:
		c.authorize(w, r)
	case r.URL.Path == TokenPath:
		c.token(w, r)
	case r.URL.Path == ValidatePath:
		c.validate(w, r)
	case r.URL.Path == WhoAmIPath, strings.HasPrefix(r.URL.Path, OrgsPath):
		c.account(w, r)
	default:
		http.NotFound(w, r)
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func (c *Cloud) validate(w http.ResponseWriter, r *http.Request) {
	if p := c.ownerOf(bearer(r)); p != nil {
		writeJSON(w, http.StatusOK, object{"data": object{"principal_id": p.PrincipalID}})
		return
	}
	writeJSON(w, http.StatusUnauthorized, object{"detail": "not a key: " + bearer(r)})
}

// account answers whoami, /orgs and /orgs/{id}/projects to an access token.
func (c *Cloud) account(w http.ResponseWriter, r *http.Request) {
	if c.behaviour.Insufficient {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_user_authentication", error_description="SENTINEL: a passkey"`)
		writeJSON(w, http.StatusUnauthorized, object{"detail": "too weak: " + bearer(r)})
		return
	}
	login := c.access[bearer(r)]
	if login == nil || login.ended {
		writeJSON(w, http.StatusUnauthorized, object{"detail": "not a token: " + bearer(r)})
		return
	}
	p := c.person(login.email)
	var all []Project
	answers := map[string]object{OrgsPath: {"items": p.Orgs}}
	for _, org := range p.Orgs {
		all = append(all, org.Projects...)
		answers[OrgsPath+"/"+org.ID+"/projects"] = object{"items": org.Projects}
	}
	whoAmI := object{"account_id": p.PrincipalID, "email": p.Email, "organizations": p.Orgs, "projects": all}
	if c.behaviour.MFA != "" {
		whoAmI["mfa"] = object{"status": c.behaviour.MFA}
	}
	answers[WhoAmIPath] = whoAmI
	if data, found := answers[r.URL.Path]; found {
		writeJSON(w, http.StatusOK, object{"data": data})
		return
	}
	writeJSON(w, http.StatusNotFound, object{"detail": "no such organisation: " + r.URL.Path})
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// authorize is the login page of a person who agrees at once. Without a person it sends the browser
// back with nothing.
func (c *Cloud) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": clientID, "redirect_uri": c.behaviour.RedirectURI,
		"scope": "openid offline_access", "code_challenge_method": "S256", "tenant": "t1",
	} {
		if got := query[name]; len(got) != 1 || got[0] != want {
			c.violation("the login page got %s = %q; want %q", name, got, want)
			http.Error(w, "invalid_request: "+r.URL.RawQuery, http.StatusBadRequest)
			return
		}
	}
	if len(query.Get("code_challenge")) != 43 || len(query.Get("state")) < 22 {
		c.violation("the login page got a challenge of %d and a state of %d characters; want 43, and 128 bits",
			len(query.Get("code_challenge")), len(query.Get("state")))
	}
	back := url.Values{"state": {query.Get("state")}}
	if len(c.people) > 0 {
		name := c.next("code")
		c.codes[name] = &code{query.Get("code_challenge"), query.Get("redirect_uri"), c.signedIn}
		back.Set("code", name)
	}
	http.Redirect(w, r, query.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (c *Cloud) token(w http.ResponseWriter, r *http.Request) {
	err := r.ParseForm()
	client, header := r.PostForm.Get("client_id"), r.Header.Get("Authorization")
	var login *session
	refusal := object{"error": "invalid_grant", "error_description": "it was sent " + r.PostForm.Encode()}
	switch {
	case err != nil || r.Method != http.MethodPost || client != clientID || header != "":
		c.violation("the token endpoint got %s with client %q and authorization %q; want a POST of the public client", r.Method, client, header)
	case c.behaviour.CodeRefusal != nil:
		delete(refusal, "error_description")
		maps.Copy(refusal, c.behaviour.CodeRefusal)
	case r.PostForm.Get("grant_type") == "authorization_code":
		login = c.exchange(r.PostForm)
	case r.PostForm.Get("grant_type") == "refresh_token":
		login = c.renew(r.PostForm.Get("refresh_token"))
	}
	if login == nil {
		writeJSON(w, http.StatusBadRequest, refusal)
		return
	}
	access, refresh := c.newTokens(login)
	writeJSON(w, http.StatusOK, object{"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600})
}

// exchange returns a new login for a good code, else nil.
func (c *Cloud) exchange(form url.Values) *session {
	shown := form.Get("code")
	known, given := c.codes[shown]
	if known == nil {
		if given {
			c.violation("a code was shown twice")
		}
		return nil
	}
	c.codes[shown] = nil
	hash := sha256.Sum256([]byte(form.Get("code_verifier")))
	if known.redirectURI != form.Get("redirect_uri") || known.challenge != base64.RawURLEncoding.EncodeToString(hash[:]) {
		c.violation("a code was shown with the redirect URI %q, or a verifier that does not fit the challenge", form.Get("redirect_uri"))
		return nil
	}
	return &session{email: known.email}
}

// renew returns the login of a good refresh token, else nil.
func (c *Cloud) renew(token string) *session {
	login := c.refresh[token]
	if login != nil && token != login.refresh && !c.behaviour.ForgiveReuse {
		c.violation("a refresh token was shown twice")
		login.ended = true
	}
	if login == nil || login.ended {
		return nil
	}
	return login
}

// Browse opens an address as a browser does, and returns the page on which it ends.
func Browse(address string) (status int, page string, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}
	response, err := client.Get(address)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}
