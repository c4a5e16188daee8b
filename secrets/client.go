package secrets

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	attemptTimeout = 30 * time.Second
	retryPause     = 500 * time.Millisecond
	// maxAnswer bounds what is read of an answer, in bytes: a list of some ten thousand secrets.
	maxAnswer = 4 << 20
)

// Client asks one Engine about the secrets of one project. Its methods may be called from
// several goroutines.
//
// Every call is idempotent and is made once more when the connection breaks or a gateway
// answers 502, 503 or 504. A redirect is never followed: it would take the token elsewhere.
// An error is a [*StatusError], a [*ConnectionError], [ErrNotEngine], [ErrBadToken] or the
// context's own; what else can go wrong is documented with the method.
type Client struct {
	HTTP  *http.Client // proxies and certificates are its transport's business; required
	Base  *url.URL     // from [BaseURL]
	Token string       // API key or access token

	// Organisation and Project are the ids in the credentials' context. Without both the
	// calls go to the addresses of the API-key generation.
	Organisation string
	Project      string

	Timeout time.Duration // of one attempt; 0 means 30 seconds
	Pause   time.Duration // before the second attempt; 0 means half a second
}

// answer is what a call came back with. Its body is never shown to anyone.
type answer struct {
	body    []byte
	status  int
	retried bool
}

// call makes one attempt, and a second one where that may help. The error is nil only for
// a status of 2xx.
func (c *Client) call(ctx context.Context, method string, body []byte, segments ...string) (answer, error) {
	if err := ctx.Err(); err != nil {
		return answer{}, err
	}
	a, err := c.attempt(ctx, method, body, segments)
	if mayRetry(err) && c.pause(ctx) {
		a, err = c.attempt(ctx, method, body, segments)
		a.retried = true
	}
	if ctx.Err() != nil && err != nil {
		return a, ctx.Err()
	}
	return a, err
}

func (c *Client) attempt(ctx context.Context, method string, body []byte, segments []string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, orDefault(c.Timeout, attemptTimeout))
	defer cancel()
	req, err := c.request(ctx, method, body, segments)
	if err != nil {
		return a, err
	}
	resp, err := c.withoutRedirects().Do(req)
	if err != nil {
		return a, connectionError(req.URL.Host, err)
	}
	defer resp.Body.Close()
	a.status = resp.StatusCode
	// Read even where nobody looks at it, so that the connection can be used again.
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case a.status < 200 || a.status > 299:
		return a, &StatusError{Status: a.status}
	case strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"):
		return a, ErrNotEngine
	case err != nil && method == http.MethodGet:
		return a, connectionError(req.URL.Host, err)
	}
	return a, nil
}

func (c *Client) request(ctx context.Context, method string, body []byte, segments []string) (*http.Request, error) {
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, ErrBadToken
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Base.String()+c.path(segments), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the Engine's address is not usable; check --host")
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

func (c *Client) path(segments []string) string {
	path := "/v1/admin/secrets"
	if c.Organisation != "" && c.Project != "" {
		path = "/v1/orgs/" + escape(c.Organisation) + "/projects/" + escape(c.Project) + "/secrets"
	}
	for _, segment := range segments {
		path += "/" + escape(segment)
	}
	return path
}

// escape makes one path segment of any text. A segment that is only dots is escaped too:
// servers and proxies resolve a bare one, and the call would reach another address.
func escape(segment string) string {
	if segment == "." || segment == ".." {
		return strings.ReplaceAll(segment, ".", "%2E")
	}
	return url.PathEscape(segment)
}

func (c *Client) withoutRedirects() *http.Client {
	client := *c.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// pause reports whether the time for another attempt has come, or the context ended first.
func (c *Client) pause(ctx context.Context) bool {
	timer := time.NewTimer(orDefault(c.Pause, retryPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
