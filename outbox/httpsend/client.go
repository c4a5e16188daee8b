package httpsend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// headerLimit bounds the header of an answer, in bytes. net/http's default is 1 MB.
const headerLimit = 64 << 10

// Client posts bodies to one address.
type Client struct {
	Wrong     error             // why nothing can be sent, an *outbox.Unusable, or nil
	URL       string            // with the query
	Header    http.Header       // of each request, beside Content-Type and Content-Encoding
	Transport http.RoundTripper // from the function of that name
	// Success judges an answer with a status from 200 to 299 that is no page and not too long.
	Success func(Answer) outbox.Verdict
	// Refusals are the statuses by which the server refuses a request for good, such as 400 and 413. It is
	// then tried with fewer messages.
	Refusals []int
	Now      func() time.Time // for a Retry-After that is a date; nil: time.Now
}

// Transport returns given, which must not follow redirects (no transport of net/http does), or for nil a
// clone of http.DefaultTransport that bounds the header of an answer. It takes proxies and SSL_CERT_FILE
// from the environment.
func Transport(given http.RoundTripper) http.RoundTripper {
	if given != nil {
		return given
	}
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the program has replaced it
		return http.DefaultTransport
	}
	transport := standard.Clone()
	transport.MaxResponseHeaderBytes = headerLimit
	transport.OnProxyConnectResponse = refusalOf
	if transport.DialContext != nil {
		transport.DialContext = dialer(transport.DialContext).dialEither
	}
	return transport
}

// Send posts a body and judges the answer, at the latest when ctx ends.
func (c *Client) Send(ctx context.Context, body []byte) outbox.Answer {
	a, none := c.Post(ctx, body)
	if none != nil {
		return outbox.Answer{Verdict: *none}
	}
	return c.Judge(a)
}

// Judge says what an answer means, and how long to wait before the next request.
func (c *Client) Judge(a Answer) outbox.Answer {
	v := c.verdict(a)
	if v.Outcome != outbox.Later {
		return outbox.Answer{Verdict: v}
	}
	return outbox.Answer{Verdict: v, RetryAfter: c.RetryAfter(a)}
}

// RetryAfter is how long an answer asks to wait, at most an hour.
func (c *Client) RetryAfter(a Answer) time.Duration {
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	return retryAfter(a.Header.Get("Retry-After"), now())
}

func (c *Client) verdict(a Answer) outbox.Verdict {
	status := a.Status
	seen := httpStatus(status)
	if cause, known := CauseOfAnswer(status, a.IsPage() || isSuccess(status) && len(a.Body) > answerLimit); known {
		return Later(cause.Code, cause.Reason)
	}
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
		return Later(outbox.CodeRetryAfter, seen)
	case status == http.StatusRequestTimeout, status >= 500:
		return Later(outbox.CodeServer, seen)
	case isSuccess(status):
		return c.Success(a)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return outbox.Verdict{Outcome: outbox.NotAllowed, Code: outbox.CodeKey, Reason: seen}
	case slices.Contains(c.Refusals, status):
		return outbox.Verdict{Outcome: outbox.Fewer, Code: outbox.CodeRefused, Reason: "refused (" + seen + ")"}
	default:
		return Later(outbox.CodeForeign, seen)
	}
}

// Post posts a body and returns the answer, or the verdict on why there is none. It posts once more when a
// connection that has been used before turns out to be dead: a server may close one at any moment.
func (c *Client) Post(ctx context.Context, body []byte) (a Answer, none *outbox.Verdict) {
	if unusable, ok := errors.AsType[*outbox.Unusable](c.Wrong); ok {
		v := Later(unusable.Code, unusable.Reason)
		return Answer{}, &v
	}
	a, none, stale := c.post(ctx, body)
	if stale {
		a, none, _ = c.post(ctx, body)
	}
	return a, none
}

// post sends once. stale means that the connection had been used before and no byte of an answer
// came on it.
func (c *Client) post(ctx context.Context, body []byte) (a Answer, none *outbox.Verdict, stale bool) {
	var connecting, reused, heard atomic.Bool
	failed := func(err error) *outbox.Verdict {
		cause := CauseOf(ctx, err)
		v := Later(cause.Code, cause.Reason)
		if v.Code == outbox.CodeTimeout && !connecting.Load() { // fewer would have been in time, perhaps
			v.Outcome = outbox.Fewer
		}
		return &v
	}
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { connecting.Store(true) },
		GotConn:              func(info httptrace.GotConnInfo) { connecting.Store(false); reused.Store(info.Reused) },
		GotFirstResponseByte: func() { heard.Store(true) },
	})
	request, err := http.NewRequestWithContext(traced, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		v := Later(outbox.CodeAddress, "the address cannot be read")
		return a, &v, false
	}
	for name, values := range c.Header {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Content-Encoding", "gzip")
	response, err := c.Transport.RoundTrip(request)
	if refusal, ok := errors.AsType[*proxyRefusal](err); ok && refusal.asksToWait() {
		return Answer{Status: refusal.status, Header: refusal.header}, nil, false
	}
	if err != nil {
		return a, failed(err), reused.Load() && !heard.Load() && ctx.Err() == nil && !timedOut(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
	if err != nil {
		return a, failed(err), false
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: read}, nil, false
}
