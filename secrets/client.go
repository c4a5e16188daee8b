package secrets

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	attemptTimeout = 30 * time.Second
	retryPause     = 500 * time.Millisecond
	// maxWaiting is how long the calls of one client wait in all because they are asked to.
	maxWaiting = time.Minute
	// firstWait is for an Engine that does not say how long; it doubles with each wait.
	firstWait = time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 20
)

// Client asks one Engine about the secrets of one project. Its methods may be called from
// several goroutines.
//
// Every call is idempotent. It is made once more when the connection breaks or a gateway answers
// 502 or 504, and again after a wait when the Engine asks for one (429 or 503, with Retry-After or
// without), for a minute in all calls together. A redirect is never followed: it would take the token elsewhere.
// An error is a [*StatusError], a [*ConnectionError], [ErrNotEngine], [ErrReported],
// [ErrBadToken] or the context's own; what else can go wrong is documented with the method.
type Client struct {
	HTTP  *http.Client // proxies and certificates are its transport's business; without a Timeout an attempt has 30 s
	Base  *url.URL     // from [BaseURL]
	Token string       // API key or access token

	// Organisation and Project are ids. Unless both are set, calls go to the addresses for API keys.
	Organisation string
	Project      string

	// Waiting is called when the Engine asks for a wait and all calls begin it: from any goroutine, but never
	// twice at once. It may be nil.
	Waiting func(time.Duration)
	// Sleep waits, or returns early when the context ends; nil means real time.
	Sleep func(context.Context, time.Duration)

	waiting sync.Mutex // held during a wait, so that all calls wait
	waits   int        // so far
	waited  time.Duration
}

type request struct {
	method  string
	body    []byte
	segment string // of the path, after the collection
	query   string
}

// answer is the Engine's answer to a request. Its body is never shown.
type answer struct {
	body    []byte
	status  int
	retried bool
}

// call makes one attempt, and more where that may help. The error is nil only for a status of 2xx.
func (c *Client) call(ctx context.Context, r request) (a answer, err error) {
	for tries, repeated := 0, false; ; tries++ {
		if ctx.Err() != nil {
			return answer{}, ctx.Err()
		}
		c.waiting.Lock()
		waits := c.waits
		c.waiting.Unlock()
		a, err = c.attempt(ctx, r)
		a.retried = tries > 0
		var refused *StatusError
		var connection *ConnectionError
		mayPass := errors.As(err, &connection) && connection.broke() ||
			errors.As(err, &refused) && (refused.Status == http.StatusBadGateway || refused.Status == http.StatusGatewayTimeout)
		switch {
		case err != nil && ctx.Err() != nil:
			return a, ctx.Err()
		case refused != nil && refused.asksToWait():
			if !c.wait(ctx, waits, refused.RetryAfter) {
				return a, err
			}
		case mayPass && !repeated:
			repeated = true
			c.sleep(ctx, retryPause)
		default:
			return a, err
		}
	}
}

// wait waits as long as a refusal asks, or, for 0, a time of our own, and reports whether another attempt may be
// made. before is the number of waits when the refused attempt began: another call may have waited since.
func (c *Client) wait(ctx context.Context, before int, pause time.Duration) bool {
	c.waiting.Lock()
	defer c.waiting.Unlock()
	if c.waits != before {
		return true
	}
	pause = cmp.Or(pause, firstWait<<min(c.waits, 10))
	if c.waited+pause > maxWaiting {
		return false
	}
	c.waits++
	c.waited += pause
	if c.Waiting != nil {
		c.Waiting(pause)
	}
	c.sleep(ctx, pause)
	return true
}

func (c *Client) sleep(ctx context.Context, d time.Duration) {
	if c.Sleep != nil {
		c.Sleep(ctx, d)
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (c *Client) attempt(ctx context.Context, r request) (a answer, err error) {
	var reached atomic.Bool // a transport may dial in a goroutine of its own
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { reached.Store(true) }})
	req, err := c.request(ctx, r)
	if err != nil {
		return a, err
	}
	client := *c.HTTP
	client.Timeout = cmp.Or(client.Timeout, attemptTimeout)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return a, &ConnectionError{Host: req.URL.Host, Cause: err, reached: reached.Load()}
	}
	defer resp.Body.Close()
	a.status = resp.StatusCode
	// Read it all, so that the connection can be used again.
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	page := isPage(resp.Header.Get("Content-Type"), a.body) &&
		a.status != http.StatusRequestEntityTooLarge && a.status != http.StatusRequestURITooLong // which a gateway says in a page
	switch {
	case a.status < 200 || a.status > 299 || page:
		challenges := strings.Join(resp.Header.Values("WWW-Authenticate"), ",")
		return a, &StatusError{Status: a.status, Page: page, Method: r.method, RetryAfter: retryAfter(resp.Header),
			Stronger: a.status == http.StatusUnauthorized && strings.Contains(challenges, "insufficient_user_authentication")}
	case err != nil:
		return a, &ConnectionError{Host: req.URL.Host, Cause: err, reached: true}
	}
	return a, nil
}

func (c *Client) request(ctx context.Context, r request) (*http.Request, error) {
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, ErrBadToken
	}
	path := "/v1/admin/secrets"
	if c.Organisation != "" && c.Project != "" {
		path = "/v1/orgs/" + escape(c.Organisation) + "/projects/" + escape(c.Project) + "/secrets"
	}
	if r.segment != "" {
		path += "/" + escape(r.segment)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.Base.String()+path, bytes.NewReader(r.body))
	if err != nil {
		return nil, &Problem{"the Engine's address is not usable", "Check --host."}
	}
	req.URL.RawQuery = r.query
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// escape makes one path segment of any text. It escapes a segment of dots, too: servers and
// proxies resolve a bare one, and the call would reach another address.
func escape(segment string) string {
	if segment == "." || segment == ".." {
		return strings.ReplaceAll(segment, ".", "%2E")
	}
	return url.PathEscape(segment)
}

// isPage recognises a web page by its type or its first character.
func isPage(contentType string, body []byte) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "text/html" || kind == "application/xhtml+xml" || bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
}

// retryAfter reads a wait in seconds; 0 for anything else. A date, which needs the server's clock, gets the
// usual waits.
func retryAfter(header http.Header) time.Duration {
	seconds, _ := strconv.ParseUint(strings.TrimSpace(header.Get("Retry-After")), 10, 31) // the maximum if there are too many
	return time.Duration(seconds) * time.Second
}
