package httpsend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// headerLimit bounds the header of an answer, in bytes. net/http's default is 1 MB.
const headerLimit = 64 << 10

// Client sends bodies to one address.
type Client struct {
	Wrong     error // an *outbox.Unusable that keeps everything from being sent, or nil
	URL       string
	Header    http.Header       // of each request
	Transport http.RoundTripper // it must not follow redirects; none of net/http's does
	Judge     Judge
}

// Transport returns the transport of a sink: the one that it was given, if that is not nil. Its own
// reads proxies and SSL_CERT_FILE from the environment, as net/http and crypto/x509 do.
func Transport(given http.RoundTripper) http.RoundTripper {
	if given != nil {
		return given
	}
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the program has put its own there
		return http.DefaultTransport
	}
	transport := standard.Clone()
	transport.MaxResponseHeaderBytes = headerLimit
	transport.OnProxyConnectResponse = refusalOf
	return transport
}

// Send posts a body and judges the answer, at the latest when ctx ends.
func (c *Client) Send(ctx context.Context, body []byte) outbox.Answer {
	a, none := c.Post(ctx, body)
	if none != nil {
		return outbox.Answer{Verdict: *none}
	}
	return c.Judge.Judge(a)
}

// Post posts a body and returns the answer, or the verdict on why there is none. It sends it twice when
// the first connection turned out to be dead: a server may close one that has been used before at any
// moment, and that says nothing about whether it would answer.
func (c *Client) Post(ctx context.Context, body []byte) (a Answer, none *outbox.Verdict) {
	if unusable, ok := errors.AsType[*outbox.Unusable](c.Wrong); ok {
		v := later(unusable.Code, unusable.Reason)
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
		v := laterFor(CauseOf(ctx, err))
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
		v := later(outbox.CodeAddress, "the address cannot be read")
		return a, &v, false
	}
	maps.Copy(request.Header, c.Header)
	response, err := c.Transport.RoundTrip(request)
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
