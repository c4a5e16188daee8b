package httpsend

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// headerLimit bounds the header of an answer, in bytes. net/http's default is 1 MB.
const headerLimit = 64 << 10

// Client posts bodies to one address.
type Client struct {
	URL       string            // with its query
	Wrong     error             // why nothing can be sent, an *outbox.Unusable, or nil
	Header    http.Header       // of each request, beside Content-Type and Content-Encoding
	Transport http.RoundTripper // from the function of that name
	// Success judges an answer with a status from 200 to 299 that is no page: the zero Verdict means that the
	// server's acknowledgement is missing. Nil: the status is enough.
	Success func(Answer) outbox.Verdict
	// Refusals are the statuses by which the server refuses a request for good, such as 400 and 413. It is
	// then tried with fewer messages.
	Refusals []int
}

// Transport returns given, which must not follow redirects (no transport of net/http does), or for nil a
// clone of http.DefaultTransport that reads at most 64 kB of header.
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

// Send posts a body, at the latest until ctx ends, and judges the answer. It also returns the answer itself,
// whose Status is 0 when none came. A connection that has been used before may be dead: it is replaced once.
func (c *Client) Send(ctx context.Context, body []byte) (outbox.Answer, Answer) {
	if unusable, ok := errors.AsType[*outbox.Unusable](c.Wrong); ok {
		return outbox.Answer{Verdict: later(Cause{unusable.Code, unusable.Reason})}, Answer{}
	}
	a, failure, stale := c.post(ctx, body)
	if stale {
		a, failure, _ = c.post(ctx, body)
	}
	if failure != (outbox.Verdict{}) {
		return outbox.Answer{Verdict: failure}, Answer{}
	}
	return c.judge(a), a
}

func (c *Client) judge(a Answer) outbox.Answer {
	v := c.verdict(a)
	if v.Outcome != outbox.Later {
		return outbox.Answer{Verdict: v}
	}
	return outbox.Answer{Verdict: v, RetryAfter: a.RetryAfter}
}

func (c *Client) verdict(a Answer) outbox.Verdict {
	seen := httpStatus(a.Status)
	if cause, known := CauseOfAnswer(a.Status, a.Page); known {
		return later(cause)
	}
	switch {
	case asksToWait(a.Status, a.RetryAfter):
		return later(Cause{outbox.CodeRetryAfter, seen})
	case a.Status == http.StatusRequestTimeout, a.Status >= 500:
		return later(Cause{outbox.CodeServer, seen})
	case isSuccess(a.Status) && c.Success == nil:
		return outbox.Verdict{Outcome: outbox.Accepted}
	case isSuccess(a.Status):
		return cmp.Or(c.Success(a), later(unacknowledged(a)))
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		return outbox.Verdict{Outcome: outbox.NotAllowed, Code: outbox.CodeKey, Reason: seen}
	case slices.Contains(c.Refusals, a.Status):
		return outbox.Verdict{Outcome: outbox.Fewer, Code: outbox.CodeRefused, Reason: "refused (" + seen + ")"}
	default:
		return later(Cause{outbox.CodeForeign, seen})
	}
}

// later is the verdict that leaves messages pending.
func later(cause Cause) outbox.Verdict {
	return outbox.Verdict{Outcome: outbox.Later, Code: cause.Code, Reason: cause.Reason}
}

// unacknowledged is why a success without the server's acknowledgement is none. A portal answers with
// something other than a JSON object.
func unacknowledged(a Answer) Cause {
	if !json.Valid(a.Body) || !bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("{")) {
		return Cause{outbox.CodePortal, httpStatus(a.Status)}
	}
	return Cause{outbox.CodeForeign, httpStatus(a.Status) + " without the server's acknowledgement"}
}

// post posts once. Without an answer it returns the verdict on the failure. stale means that the connection had
// been used before and no byte of an answer came on it.
func (c *Client) post(ctx context.Context, body []byte) (a Answer, failure outbox.Verdict, stale bool) {
	var connecting, reused, heard atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { connecting.Store(true) },
		GotConn:              func(info httptrace.GotConnInfo) { connecting.Store(false); reused.Store(info.Reused) },
		GotFirstResponseByte: func() { heard.Store(true) },
	})
	request, err := http.NewRequestWithContext(traced, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return a, later(Cause{outbox.CodeAddress, "the address cannot be read"}), false
	}
	for name, values := range c.Header {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Content-Encoding", "gzip")
	response, err := c.Transport.RoundTrip(request)
	if refusal, ok := errors.AsType[*proxyRefusal](err); ok && asksToWait(refusal.status, refusal.retryAfter) {
		return Answer{Status: refusal.status, RetryAfter: refusal.retryAfter}, failure, false
	}
	if err != nil {
		stale = reused.Load() && !heard.Load() && ctx.Err() == nil && !timedOut(err)
		return a, failed(ctx, err, connecting.Load()), stale
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
	if err != nil {
		return a, failed(ctx, err, false), false
	}
	return newAnswer(response.StatusCode, response.Header, read), failure, false
}

// failed is the verdict on a request without an answer. Over a connection that exists, fewer messages might
// have been in time.
func failed(ctx context.Context, err error, connecting bool) outbox.Verdict {
	v := later(CauseOf(ctx, err))
	if v.Code == outbox.CodeTimeout && !connecting {
		v.Outcome = outbox.Fewer
	}
	return v
}
