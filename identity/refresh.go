package identity

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"
)

// interruptedPatience is how long a renewal that was sent goes on after the
// command was interrupted: an answer that nobody keeps may end the login of
// both CLIs, since the server has replaced the refresh token.
const interruptedPatience = 5 * time.Second

// Session is the login as a command uses it: renewed when it has expired. A
// flusher must not renew, and reads the [CredentialsFile].
//
// Two things can go wrong with a refresh token. Two processes that show the
// same one look like theft to the server, which then ends the login; hence one
// lock, and a look at the file before each renewal. And the Python CLI renews
// without that lock: a refusal counts only if the file still says what was
// shown.
type Session struct {
	File CredentialsFile
	// HTTP makes the calls to the login's Arcade Cloud.
	HTTP *http.Client
	Now  func() time.Time
	// Point is called with "renewed" when new tokens are known and not yet on
	// disk, for tests; nil is allowed.
	Point func(name string)
}

// Credentials returns the login, renewed before if it had expired.
//
// The error is one of [CredentialsFile.Read]; [ErrLoginEnded], when the person
// has to log in again; a [*CloudError], when Arcade Cloud cannot be asked and
// the token is of no use any more; or it says why the file cannot be written.
// Whatever it is, the file is as it was.
func (s Session) Credentials(ctx context.Context) (Credentials, error) {
	c, err := s.File.Read()
	if err != nil || !c.Expired(s.Now()) {
		return c, err
	}
	return s.renewed(ctx, c, c.left(s.Now()) > 0)
}

// Replace returns the login with another access token than that of refused,
// which a server did not accept though it looked good. The errors are those of
// [Session.Credentials]. An API key has no other.
func (s Session) Replace(ctx context.Context, refused Credentials) (Credentials, error) {
	if refused.APIKey != "" {
		return Credentials{}, ErrLoginEnded
	}
	return s.renewed(ctx, refused, false)
}

// renewed returns other tokens than those of old, or old when they cannot be
// had just now and it is goodForNow.
func (s Session) renewed(ctx context.Context, old Credentials, goodForNow bool) (Credentials, error) {
	path, renewed := s.File.inUse(), Credentials{}
	err := locked(ctx, path, func() (err error) {
		renewed, err = s.renew(ctx, path, old)
		return err
	})
	if err != nil && goodForNow && !errors.Is(err, ErrLoginEnded) && !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
		return old, nil
	}
	return renewed, err
}

// renew is called with the lock held.
func (s Session) renew(ctx context.Context, path string, old Credentials) (Credentials, error) {
	c, _, err := s.File.read(path)
	if err != nil || s.replaced(old, c) {
		return c, err
	}
	// Made before the tokens are asked for: from then on they must not be lost.
	room, err := reserve(path, maxCredentialsSize)
	if err != nil {
		return Credentials{}, fmt.Errorf("write credentials: %w", err)
	}
	renewed, content, err := s.ask(ctx, path, c)
	if err != nil || content == nil {
		return renewed, errors.Join(err, room.discard())
	}
	if err := keep(room, content); err != nil {
		return Credentials{}, err
	}
	return renewed, ctx.Err()
}

// replaced says whether another process has put a usable token, or a key, in
// the place of old's.
func (s Session) replaced(old, now Credentials) bool {
	return now.Token() != old.Token() && now.left(s.Now()) > 0
}

// ask has the tokens of c renewed and returns what the file has to hold then,
// nil if somebody else has written it meanwhile.
func (s Session) ask(ctx context.Context, path string, c Credentials) (Credentials, []byte, error) {
	tokens, err := s.askOnce(ctx, c)
	if !errors.Is(err, ErrLoginEnded) {
		return s.merge(path, c, tokens, err)
	}
	// Refused: was the Python CLI faster?
	now, _, readErr := s.File.read(path)
	switch {
	case readErr != nil, now.RefreshToken == c.RefreshToken && now.Token() == c.Token():
		return Credentials{}, nil, errors.Join(err, readErr)
	case s.replaced(c, now):
		return now, nil, nil
	}
	tokens, err = s.askOnce(ctx, now)
	return s.merge(path, now, tokens, err)
}

func (s Session) askOnce(ctx context.Context, c Credentials) (Tokens, error) {
	if c.RefreshToken == "" {
		return Tokens{}, ErrLoginEnded
	}
	oauth, err := Cloud{BaseURL: c.CloudURL(), HTTP: s.HTTP}.OAuth(ctx)
	if errors.Is(err, ErrNoOAuth) {
		err = &CloudError{Status: http.StatusNotFound, Reason: "does not renew logins"}
	}
	if err != nil {
		return Tokens{}, err
	}
	if ctx.Err() != nil {
		return Tokens{}, unreachable(ctx)
	}
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-patient.Done():
		case <-time.After(interruptedPatience):
			cancel()
		}
	})
	defer stop()
	return oauth.renew(patient, c.RefreshToken)
}

// merge puts the tokens got for c into the file as it is now: the project may
// have been changed meanwhile. What another login has written there stays.
func (s Session) merge(path string, c Credentials, tokens Tokens, err error) (Credentials, []byte, error) {
	if err != nil {
		return Credentials{}, nil, err
	}
	if s.Point != nil {
		s.Point("renewed")
	}
	// A file that has gone belongs to somebody who has logged out, and stays gone.
	now, document, err := s.File.read(path)
	if err != nil {
		return Credentials{}, nil, err
	}
	if s.replaced(c, now) {
		return now, nil, nil
	}
	if now.Fingerprint() != c.Fingerprint() {
		return Credentials{}, nil, ErrLoginChanged
	}
	renewed := tokens.Into(now, s.Now())
	content, err := document.put(renewed, document.Active)
	return renewed, content, err
}

// Transport carries requests out with a login's token, and answers the first
// 401 by a renewal and one more try: a token that looked good may have been
// revoked, or the clock be wrong. A request must be one that may be sent twice.
type Transport struct {
	// Session renews.
	Session Session
	// Login is whose token is shown.
	Login Credentials
	// Next carries a request out.
	Next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. When the token cannot be renewed
// the answer is the 401.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.Next.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusUnauthorized || t.Login.APIKey != "" || r.Header.Get("Authorization") != "Bearer "+t.Login.AccessToken {
		return response, err
	}
	again := r.Clone(r.Context())
	if r.GetBody != nil {
		if again.Body, err = r.GetBody(); err != nil {
			return response, nil
		}
	}
	login, err := t.Session.Replace(r.Context(), t.Login)
	if err != nil {
		return response, nil
	}
	response.Body.Close()
	again.Header.Set("Authorization", "Bearer "+login.Token())
	return t.Next.RoundTrip(again)
}
