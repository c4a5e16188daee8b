package identitytest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/url"
)

// Login makes a login without a browser, and returns its tokens.
func (c *Cloud) Login(email string) (access, refresh string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &session{email: email}
	return c.newAccess(s), c.newRefresh(s)
}

// Revoke makes every access token so far a refused one. Refresh tokens stay good.
func (c *Cloud) Revoke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.access)
}

// EndLogins ends every login.
func (c *Cloud) EndLogins() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, token := range c.refresh {
		token.session.ended = true
	}
}

func (c *Cloud) newAccess(s *session) string {
	token := c.next("access")
	c.access[token] = s
	return token
}

func (c *Cloud) newRefresh(s *session) string {
	token := c.next("refresh")
	c.refresh[token] = &refreshToken{session: s}
	return token
}

func (c *Cloud) config(w http.ResponseWriter) {
	writeJSON(w, http.StatusOK, object{
		"client_id":              ClientID,
		"authorization_endpoint": cmp.Or(c.behaviour.AuthorizeURL, c.URL+AuthorizePath+"?tenant=t1"),
		"token_endpoint":         cmp.Or(c.behaviour.TokenURL, c.URL+TokenPath),
	})
}

// authorize is the login page of a person who agrees at once. Without a person it sends the browser
// back with nothing.
func (c *Cloud) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for name, want := range map[string]string{
		"response_type": "code", "client_id": ClientID, "redirect_uri": cmp.Or(c.behaviour.RedirectURI, "http://127.0.0.1:9905/callback"),
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
	if c.behaviour.Deny != "" {
		back.Set("error", c.behaviour.Deny)
		back.Set("error_description", c.behaviour.DenyDescription)
	} else if len(c.people) > 0 {
		name := c.next("code")
		c.codes[name] = &code{challenge: query.Get("code_challenge"), redirectURI: query.Get("redirect_uri"), email: c.behaviour.SignedIn}
		back.Set("code", name)
	}
	http.Redirect(w, r, query.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (c *Cloud) token(w http.ResponseWriter, r *http.Request) {
	err := r.ParseForm()
	client, header := r.PostForm.Get("client_id"), r.Header.Get("Authorization")
	if err != nil || r.Method != http.MethodPost || client != ClientID || header != "" {
		c.violation("the token endpoint got %s with client %q and authorization %q; want a POST of the public client", r.Method, client, header)
		refuse(w, "invalid_client", r)
		return
	}
	if c.behaviour.CodeRefusal != nil {
		answer := object{"error": "invalid_grant"}
		maps.Copy(answer, c.behaviour.CodeRefusal)
		writeJSON(w, http.StatusBadRequest, answer)
		return
	}
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		c.exchange(w, r)
	case "refresh_token":
		c.renew(w, r)
	default:
		refuse(w, "unsupported_grant_type", r)
	}
}

func (c *Cloud) exchange(w http.ResponseWriter, r *http.Request) {
	form := r.PostForm
	known := c.codes[form.Get("code")]
	hash := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case known == nil:
		refuse(w, "invalid_grant", r)
	case known.used:
		c.violation("a code was shown twice")
		if known.session != nil {
			known.session.ended = true
		}
		refuse(w, "invalid_grant", r)
	case known.redirectURI != form.Get("redirect_uri"), known.challenge != base64.RawURLEncoding.EncodeToString(hash[:]):
		known.used = true
		c.violation("a code was shown with the redirect URI %q, or a verifier that does not fit the challenge", form.Get("redirect_uri"))
		refuse(w, "invalid_grant", r)
	default:
		known.used, known.session = true, &session{email: known.email}
		answer := c.answer(known.session)
		answer["refresh_token"] = c.newRefresh(known.session)
		writeJSON(w, http.StatusOK, answer)
	}
}

func (c *Cloud) renew(w http.ResponseWriter, r *http.Request) {
	known := c.refresh[r.PostForm.Get("refresh_token")]
	if known != nil && known.replaced && !c.behaviour.ForgiveReuse {
		c.violation("a refresh token was shown twice")
		known.session.ended = true
	}
	if known == nil || known.session.ended {
		refuse(w, "invalid_grant", r)
		return
	}
	answer := c.answer(known.session)
	if !c.behaviour.KeepRefreshToken {
		known.replaced = true
		answer["refresh_token"] = c.newRefresh(known.session)
	}
	writeJSON(w, http.StatusOK, answer)
}

func (c *Cloud) answer(s *session) object {
	return object{"access_token": c.newAccess(s), "token_type": "Bearer", "expires_in": cmp.Or(c.behaviour.ExpiresIn, 3600)}
}

func refuse(w http.ResponseWriter, reason string, r *http.Request) {
	writeJSON(w, http.StatusBadRequest, object{"error": reason, "error_description": "it was sent " + r.PostForm.Encode()})
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
