package identity

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"time"
)

// interruptedPatience is how long a renewal that was sent goes on after an interrupt: a
// lost answer may end the login of both CLIs, since the server has replaced the refresh
// token.
const interruptedPatience = 5 * time.Second

// Session is the login as a command uses it: renewed when it has expired. A flusher
// must not renew, and reads the [CredentialsFile].
//
// If two processes show one refresh token, that looks like theft, and the server ends
// the login: hence a lock, a look at the file before each renewal, and a note of a
// refusal. The Python CLI renews without that lock: a refusal counts only if the file
// still has the token that was shown.
type Session struct {
	File CredentialsFile
	HTTP *http.Client // for the login's Arcade Cloud
	Now  func() time.Time
	// Waiting is called after 2 seconds of waiting for another process's renewal; nil is allowed.
	Waiting func()
}

// Credentials returns the login, renewed if it had expired.
//
// The error is one of [CredentialsFile.Read]; [ErrLoginEnded]; a [*CloudError], if
// Arcade Cloud cannot be asked and the token has ended; or it says why the file
// cannot be written. After any of them the file is as it was.
func (s Session) Credentials(ctx context.Context) (Credentials, error) {
	c, err := s.File.Read()
	if err != nil || !c.Expired(s.Now()) {
		return c, err
	}
	renewed, err := s.renewed(ctx, c)
	over := errors.Is(err, ErrLoginEnded) || errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil
	if err != nil && !over && c.left(s.Now()) > 0 {
		return c, nil
	}
	return renewed, err
}

// renewed returns the login with a new access token. The one of old has expired or was
// refused.
func (s Session) renewed(ctx context.Context, old Credentials) (Credentials, error) {
	path, renewed := s.File.inUse(), Credentials{}
	err := locked(ctx, path, s.Waiting, func() (err error) {
		renewed, err = s.renew(ctx, path, old)
		return err
	})
	return renewed, err
}

// renew is called with the lock held.
func (s Session) renew(ctx context.Context, path string, old Credentials) (Credentials, error) {
	c, _, err := s.File.read(path)
	if err != nil || s.replaced(old, c) {
		return c, err
	}
	// Before it asks for tokens, which must not be lost then.
	room, err := s.File.reserve(followed(path))
	if err != nil {
		return Credentials{}, err
	}
	defer room.discard()
	tokens, err := s.ask(ctx, c)
	if err != nil && !errors.Is(err, ErrLoginEnded) {
		return Credentials{}, err
	}
	s.File.point("answered")
	// Another program may have been faster, or have changed the project. After a logout
	// there is no file, and none is made.
	now, d, readErr := s.File.read(path)
	switch {
	case readErr != nil:
		return Credentials{}, readErr
	case s.replaced(c, now):
		return now, nil
	case err != nil && now.RefreshToken != c.RefreshToken:
		return s.renew(ctx, path, old)
	case err != nil:
		return Credentials{}, err
	case now.Fingerprint() != c.Fingerprint():
		return Credentials{}, ErrLoginChanged
	}
	renewed := tokens.Into(now, s.Now())
	content, err := d.encode(d.with(renewed))
	if err == nil {
		err = s.File.keep(room, content)
	}
	if err != nil {
		return Credentials{}, err
	}
	return renewed, ctx.Err()
}

// replaced reports whether another process has replaced old's token by a usable one or
// by a key.
func (s Session) replaced(old, now Credentials) bool {
	return now.Token() != old.Token() && now.left(s.Now()) > 0
}

// ask asks for new tokens of c, unless its refresh token was refused before.
func (s Session) ask(ctx context.Context, c Credentials) (Tokens, error) {
	shown, places := fingerprint("refresh token", c.RefreshToken), s.File.Places(c)
	switch {
	case c.APIKey != "": // it is in force, whatever is beside it
		return Tokens{}, ErrLoginEnded
	case c.RefreshToken != "" && places.Refused != shown:
	case places.Stronger:
		return Tokens{}, ErrStrongerLogin
	default:
		return Tokens{}, ErrLoginEnded
	}
	oauth, err := c.Cloud(s.HTTP).OAuth(ctx)
	if errors.Is(err, ErrNoOAuth) {
		err = &CloudError{Status: http.StatusNotFound, Reason: "does not renew logins", Server: c.Server()}
	}
	if err != nil {
		return Tokens{}, err
	}
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(interruptedPatience, cancel) })()
	tokens, err := oauth.renew(patient, c.RefreshToken)
	if errors.Is(err, ErrLoginEnded) {
		places.Login, places.Refused, places.Stronger = c.Fingerprint(), shown, errors.Is(err, ErrStrongerLogin)
		_ = s.File.KeepPlaces(places) // if it fails, the next command asks again
	}
	return tokens, err
}

// Transport sends requests with a login's token. After a 401 it renews the login and
// tries once more, since a token can be revoked and a clock be wrong; later requests use
// the new token. A 401 of a server that the login does not own renews nothing.
//
// A request must be one that may be sent twice.
type Transport struct {
	Session Session // renews
	Login   Credentials
	Next    http.RoundTripper // sends

	mu      sync.Mutex
	current Credentials // to show, once there was a request
}

// RoundTrip implements [http.RoundTripper]. If the token cannot be renewed, the answer
// is the 401, which says so if a stronger login is asked for.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.Login.APIKey != "" || r.Header.Get("Authorization") != "Bearer "+t.Login.AccessToken || !t.Login.Owns(r.URL) {
		return t.Next.RoundTrip(r)
	}
	shown, _ := t.login(r.Context(), "") // without a refusal it does not fail
	response, err := t.Next.RoundTrip(showing(shown, r, r.Body))
	if err != nil || response.StatusCode != http.StatusUnauthorized || wantsStronger(response) {
		return response, err
	}
	login, err := t.login(r.Context(), shown.Token())
	if errors.Is(err, ErrStrongerLogin) {
		response.Header.Set("WWW-Authenticate", `Bearer error="`+insufficient+`"`)
	}
	body := r.Body
	if err == nil && r.GetBody != nil {
		body, err = r.GetBody()
	}
	if err != nil {
		return response, nil
	}
	// Read it to its end, so that the connection can be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswerSize))
	response.Body.Close()
	return t.Next.RoundTrip(showing(login, r, body))
}

// login returns the login to show after the token refused was refused, "" for none. Of
// several requests that are refused at once the first renews.
func (t *Transport) login(ctx context.Context, refused string) (Credentials, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.current.Present() {
		t.current = t.Login
	}
	if t.current.Token() != refused {
		return t.current, nil
	}
	login, err := t.Session.renewed(ctx, t.current)
	if err == nil {
		t.current = login
	}
	return login, err
}

// showing returns r with the token of login and with body.
func showing(login Credentials, r *http.Request, body io.ReadCloser) *http.Request {
	again := r.Clone(r.Context())
	again.Header.Set("Authorization", "Bearer "+login.Token())
	again.Body = body
	return again
}
