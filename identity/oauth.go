package identity

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	// maxTokenLength leaves room for two tokens in the credentials file, in
	// bytes.
	maxTokenLength = 12 << 10
	// maxLifetime is beyond any token's, in seconds: 10 years.
	maxLifetime = 10 * 365 * 24 * 60 * 60
)

// ErrNoOAuth says that this Arcade Cloud does not log people in, and knows
// API keys only.
var ErrNoOAuth = errors.New("this Arcade Cloud has no login in the browser")

// OAuth is how an Arcade Cloud logs people in.
type OAuth struct {
	cloud  Cloud
	config oauth2.Config
}

// Tokens are what a login or a renewal yields.
type Tokens struct {
	Access  string
	Refresh string // "" when the login cannot be renewed
	Life    time.Duration
}

// String hides the tokens, so that no print of a structure can leak them.
func (t Tokens) String() string { return "tokens" }

// GoString is String.
func (t Tokens) GoString() string { return t.String() }

// Into returns c with these tokens, got at now.
func (t Tokens) Into(c Credentials, now time.Time) Credentials {
	c.APIKey, c.AccessToken, c.RefreshToken = "", t.Access, t.Refresh
	return c.lasting(t.Life, now.Local())
}

// OAuth asks how to log in. The error is [ErrNoOAuth] or a [*CloudError].
func (cloud Cloud) OAuth(ctx context.Context) (OAuth, error) {
	body, err := cloud.get(ctx, "/api/v1/auth/cli_config", "")
	var refused *CloudError
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return OAuth{}, ErrNoOAuth
	}
	if err != nil {
		return OAuth{}, err
	}
	var answer struct {
		ClientID      string `json:"client_id"`
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.ClientID == "" || answer.Authorization == "" || answer.Token == "" {
		return OAuth{}, cloud.named(nonsense())
	}
	if !cloud.mayTrust(answer.Authorization) || !cloud.mayTrust(answer.Token) {
		return OAuth{}, cloud.named(&CloudError{Reason: "names an address for the login that is not reached by https"})
	}
	return OAuth{cloud, oauth2.Config{
		ClientID: answer.ClientID,
		Scopes:   []string{"openid", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: answer.Authorization, TokenURL: answer.Token,
			// The client is public. Trying out the style would show a code twice.
			AuthStyle: oauth2.AuthStyleInParams},
	}}, nil
}

// mayTrust says whether a code or a token may go to endpoint: to https, or,
// from a Cloud on this machine, to this machine.
func (cloud Cloud) mayTrust(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	base, err := url.Parse(cloud.BaseURL)
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u) && err == nil && isLoopback(base)
}

// NewVerifier returns the secret of one login by PKCE.
func NewVerifier() string { return oauth2.GenerateVerifier() }

// At returns o for a callback at [Callback.RedirectURI], which the login page and the
// exchange both have to be told.
func (o OAuth) At(redirectURI string) OAuth {
	o.config.RedirectURL = redirectURI
	return o
}

// LoginURL is the page to open in a browser. State is unguessable, and what
// the callback has to show; verifier comes from [NewVerifier].
func (o OAuth) LoginURL(state, verifier string) string {
	return o.config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier))
}

// Exchange turns the code that the browser brought into tokens. The error is a
// [*CloudError], which is [ErrStrongerLogin] for a code that is refused for that.
func (o OAuth) Exchange(ctx context.Context, code, verifier string) (Tokens, error) {
	ctx, cancel := o.calling(ctx)
	defer cancel()
	token, err := o.config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	tokens, err := tokensOf(ctx, token, err)
	return tokens, o.cloud.named(err)
}

// renew turns a refresh token into new tokens. An answer without a refresh
// token means that the old one stays. The error is [ErrLoginEnded] when the
// server says that this one is no good, perhaps as an [ErrStrongerLogin], or a
// [*CloudError].
func (o OAuth) renew(ctx context.Context, refreshToken string) (Tokens, error) {
	ctx, cancel := o.calling(ctx)
	defer cancel()
	token, err := o.config.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
	switch {
	case speaksOfStronger(err):
		return Tokens{}, ErrStrongerLogin
	case isInvalidGrant(err):
		return Tokens{}, ErrLoginEnded
	}
	tokens, err := tokensOf(ctx, token, err)
	return tokens, o.cloud.named(err)
}

// isInvalidGrant says whether the server calls a code or a refresh token no
// good; what a server in trouble says does not count.
func isInvalidGrant(err error) bool {
	var refused *oauth2.RetrieveError
	return errors.As(err, &refused) && refused.ErrorCode == "invalid_grant" && refused.Response.StatusCode < http.StatusInternalServerError
}

// strongWords are those by which a token endpoint asks for a stronger login: there is no code for that.
var strongWords = regexp.MustCompile(`(?i)passkey|authenticator|multi-?factor|(^|[^a-z])mfa([^a-z]|$)`)

// speaksOfStronger says whether the server refuses a code or a refresh token for
// want of a stronger login.
func speaksOfStronger(err error) bool {
	var refused *oauth2.RetrieveError
	return errors.As(err, &refused) && refused.Response.StatusCode == http.StatusBadRequest &&
		strongWords.MatchString(refused.ErrorDescription+" "+refused.ErrorURI)
}

// calling gives a call to the token endpoint its limit and its HTTP client.
func (o OAuth) calling(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	return context.WithValue(ctx, oauth2.HTTPClient, o.cloud.client()), cancel
}

// tokensOf judges an answer of the token endpoint. What the library says of
// one may quote the server, and is not passed on.
func tokensOf(ctx context.Context, token *oauth2.Token, err error) (Tokens, error) {
	var refused *oauth2.RetrieveError
	var broken *url.Error
	switch {
	case speaksOfStronger(err):
		return Tokens{}, &CloudError{Status: http.StatusBadRequest, Stronger: true}
	case isInvalidGrant(err) && errors.As(err, &refused):
		return Tokens{}, &CloudError{Status: refused.Response.StatusCode, Reason: "does not accept the code of this login"}
	case errors.As(err, &refused):
		return Tokens{}, &CloudError{Status: refused.Response.StatusCode, Page: isPage(refused.Response.Header.Get("Content-Type"), refused.Body)}
	case errors.As(err, &broken), ctx.Err() != nil:
		return Tokens{}, unreachable(ctx, err)
	case err != nil:
		return Tokens{}, nonsense()
	}
	life, ok := token.Extra("expires_in").(float64)
	bearer := token.TokenType == "" || strings.EqualFold(token.TokenType, "bearer")
	if !ok || life < 1 || life > maxLifetime || !bearer || !usableToken(token.AccessToken) ||
		token.RefreshToken != "" && !usableToken(token.RefreshToken) {
		return Tokens{}, nonsense()
	}
	return Tokens{token.AccessToken, token.RefreshToken, time.Duration(life) * time.Second}, nil
}

// usableToken says whether a token can be sent in a header and kept.
func usableToken(token string) bool {
	return token != "" && len(token) <= maxTokenLength && !strings.ContainsFunc(token, notInAKey)
}
