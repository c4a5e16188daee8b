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
// clone of http.DefaultTransport.
func Transport(given http.RoundTripper) http.RoundTripper {
	if given != nil {
		return given
	}
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the program has replaced it
		return http.DefaultTransport
	}
	transport := standard.Clone()
	transport.OnProxyConnectResponse = refusalOf
	if transport.DialContext != nil {
		transport.DialContext = dialer(transport.DialContext).dialEither
	}
	return transport
}

// Send posts a body, at the latest until ctx ends, and judges the answer. It also returns the answer itself,
// whose Status is 0 when none came.
func (c *Client) Send(ctx context.Context, body []byte) (outbox.Answer, Answer) {
	if unusable, ok := errors.AsType[*outbox.Unusable](c.Wrong); ok {
		return outbox.Answer{Verdict: later(Cause{unusable.Code, unusable.Reason})}, Answer{}
	}
	var connecting atomic.Bool
	a, err := c.post(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { connecting.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connecting.Store(false) },
	}), body)
	if err != nil {
		v := later(CauseOf(ctx, err))
		if v.Code == outbox.CodeTimeout && !connecting.Load() { // a smaller body might have been in time
			v.Outcome = outbox.Fewer
		}
		return outbox.Answer{Verdict: v}, Answer{}
	}
	return outbox.Answer{Verdict: c.judge(a), RetryAfter: a.RetryAfter}, a
}

// post returns the server's answer, or that of a proxy that asks to wait.
func (c *Client) post(ctx context.Context, body []byte) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	// A header without a value is not sent. With this one package http sends the request once more when a connection
	// that was used before turns out to be dead.
	request.Header["Idempotency-Key"] = []string{}
	for name, values := range c.Header {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Content-Encoding", "gzip")
	response, err := c.Transport.RoundTrip(request)
	if refusal, ok := errors.AsType[*proxyRefusal](err); ok && refusal.asksToWait() {
		return refusal.Answer, nil
	}
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
	return newAnswer(response.StatusCode, response.Header, read), err
}

func (c *Client) judge(a Answer) outbox.Verdict {
	cause, known := a.Cause()
	switch {
	case known:
		return later(cause)
	case a.Status == http.StatusRequestTimeout:
		return later(Cause{outbox.CodeServer, a.seen()})
	case a.isSuccess() && c.Success == nil:
		return outbox.Verdict{Outcome: outbox.Accepted}
	case a.isSuccess():
		return cmp.Or(c.Success(a), unacknowledged(a))
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		return outbox.Verdict{Outcome: outbox.NotAllowed, Code: outbox.CodeKey, Reason: a.seen()}
	case slices.Contains(c.Refusals, a.Status):
		return outbox.Verdict{Outcome: outbox.Fewer, Code: outbox.CodeRefused, Reason: "refused (" + a.seen() + ")"}
	default:
		return later(Cause{outbox.CodeForeign, a.seen()})
	}
}

// later is the verdict that leaves messages pending.
func later(cause Cause) outbox.Verdict {
	return outbox.Verdict{Outcome: outbox.Later, Code: cause.Code, Reason: cause.Reason}
}

// unacknowledged is the verdict on a success without the server's acknowledgement. A portal answers with
// something other than a JSON object.
func unacknowledged(a Answer) outbox.Verdict {
	if json.Unmarshal(a.Body, &struct{}{}) != nil {
		return later(Cause{outbox.CodePortal, a.seen()})
	}
	return later(Cause{outbox.CodeForeign, a.seen() + " without the server's acknowledgement"})
}
