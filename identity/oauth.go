package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	// maxTokenLength leaves room for two tokens in the credentials file, in bytes.
	maxTokenLength = 12 << 10
	// maxLifetime is longer than any token's, in seconds: 10 years.
	maxLifetime = 10 * 365 * 24 * 60 * 60
)

// ErrNoOAuth says that this Arcade Cloud accepts only API keys.
var ErrNoOAuth = errors.New("this Arcade Cloud has no login in the browser")

// OAuth is the login at an Arcade Cloud.
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

// Format hides the tokens, so that no print of a structure can leak them.
func (t Tokens) Format(s fmt.State, _ rune) { fmt.Fprint(s, "tokens") }

// Into returns c with these tokens, which were received at now.
func (t Tokens) Into(c Credentials, now time.Time) Credentials {
	c.APIKey, c.AccessToken, c.RefreshToken = "", t.Access, t.Refresh
	c.ExpiresAt = now.Add(t.Life).Local().Truncate(time.Microsecond)
	return c
}

// OAuth asks how to log in. The error is [ErrNoOAuth] or a [*CloudError].
func (cloud Cloud) OAuth(ctx context.Context) (OAuth, error) {
	var answer struct {
		ClientID      string `json:"client_id"`
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
	}
	err := cloud.get(ctx, "/api/v1/auth/cli_config", "", &answer)
	var refused *CloudError
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return OAuth{}, ErrNoOAuth
	case err != nil:
		return OAuth{}, err
	case answer.ClientID == "" || answer.Authorization == "" || answer.Token == "":
		return OAuth{}, cloud.nonsense()
	case !cloud.mayName(answer.Authorization) || !cloud.mayName(answer.Token):
		return OAuth{}, &CloudError{Server: cloud.Server, Reason: "names an address for the login that is not reached by https"}
	}
	return OAuth{cloud, oauth2.Config{
		ClientID: answer.ClientID,
		Scopes:   []string{"openid", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: answer.Authorization, TokenURL: answer.Token,
			// The client is public. Trying out the style would show a code twice.
			AuthStyle: oauth2.AuthStyleInParams},
	}}, nil
}

// mayName reports whether a server may name an address that gets a secret: only a
// server on this machine may name an address on this machine, without TLS.
func (cloud Cloud) mayName(address string) bool {
	u, err := url.Parse(address)
	if err != nil || !isSafe(u) {
		return false
	}
	base, err := url.Parse(cloud.BaseURL)
	return u.Scheme == "https" || err == nil && isLoopback(base)
}

// NewVerifier returns the secret of one login by PKCE.
func NewVerifier() string { return oauth2.GenerateVerifier() }

// At returns o for a callback at [Callback.RedirectURI].
func (o OAuth) At(redirectURI string) OAuth {
	o.config.RedirectURL = redirectURI
	return o
}

// LoginURL is the page to open in a browser. State is an unguessable text, which the
// callback has to show; verifier comes from [NewVerifier].
func (o OAuth) LoginURL(state, verifier string) string {
	return o.config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier))
}

// Exchange turns the browser's code into tokens. The error is a [*CloudError],
// and an [ErrStrongerLogin] if the code is refused for that.
func (o OAuth) Exchange(ctx context.Context, code, verifier string) (Tokens, error) {
	ctx, cancel := o.calling(ctx)
	defer cancel()
	token, err := o.config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	return o.judge(ctx, token, err)
}

// renew turns a refresh token into new tokens; if the answer has no refresh token, the
// old one stays. The error is a [*CloudError], and an [ErrLoginEnded] if the token is
// refused.
func (o OAuth) renew(ctx context.Context, refreshToken string) (Tokens, error) {
	ctx, cancel := o.calling(ctx)
	defer cancel()
	token, err := o.config.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
	return o.judge(ctx, token, err)
}

// calling gives a call to the token endpoint its limit and its HTTP client.
func (o OAuth) calling(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	return context.WithValue(ctx, oauth2.HTTPClient, o.cloud.client()), cancel
}

// judge returns the tokens of the token endpoint's answer. The library's error may quote
// the server, and is not passed on.
func (o OAuth) judge(ctx context.Context, token *oauth2.Token, err error) (Tokens, error) {
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused):
		return Tokens{}, o.refusal(refused)
	case errors.As(err, new(*url.Error)), ctx.Err() != nil:
		return Tokens{}, o.cloud.unreachable(ctx, err)
	case err != nil:
		return Tokens{}, o.cloud.nonsense()
	}
	life, ok := token.Extra("expires_in").(float64)
	bearer := token.TokenType == "" || strings.EqualFold(token.TokenType, "bearer")
	if !ok || life < 1 || life > maxLifetime || !bearer || !usableToken(token.AccessToken) ||
		token.RefreshToken != "" && !usableToken(token.RefreshToken) {
		return Tokens{}, o.cloud.nonsense()
	}
	return Tokens{token.AccessToken, token.RefreshToken, time.Duration(life) * time.Second}, nil
}

// strongWords match a request for a stronger login: OAuth has no error code for that.
var strongWords = regexp.MustCompile(`(?i)passkey|authenticator|multi-?factor|(^|[^a-z])mfa([^a-z]|$)`)

// refusal returns the error for a code or a refresh token that was not accepted. What a
// server in trouble or a page says is no judgement on them.
func (o OAuth) refusal(refused *oauth2.RetrieveError) *CloudError {
	status := refused.Response.StatusCode
	failed := &CloudError{Server: o.cloud.Server, Status: status}
	switch {
	case status == http.StatusBadRequest && strongWords.MatchString(refused.ErrorDescription+" "+refused.ErrorURI):
		failed.Stronger = true
	case refused.ErrorCode == "invalid_grant" && status < http.StatusInternalServerError:
		failed.grant, failed.Reason = true, "does not accept the code of this login"
	default:
		failed.Page = isPage(refused.Response.Header.Get("Content-Type"), refused.Body)
	}
	return failed
}

// usableToken reports whether a token fits a header and the credentials file.
func usableToken(token string) bool {
	return token != "" && len(token) <= maxTokenLength && !strings.ContainsFunc(token, unsendable)
}
