package httpsend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// answerLimit bounds what is read of an answer, in bytes. PostHog's own has 16.
const answerLimit = 64 << 10

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

// Transport returns the transport of a sink: the one that it was given, if that is not nil.
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
	return transport
}

// Send posts the body and judges the answer, at the latest when ctx ends. It sends it twice when
// the first connection turned out to be dead: a server may close one that has been used before at
// any moment, and that says nothing about whether it would answer.
func (c *Client) Send(ctx context.Context, body []byte) outbox.Verdict {
	if unusable, ok := errors.AsType[*outbox.Unusable](c.Wrong); ok {
		return later(unusable.Code, unusable.Reason)
	}
	v, stale := c.post(ctx, body)
	if stale {
		v, _ = c.post(ctx, body)
	}
	return v
}

// post sends once. stale means that the connection had been used before and no byte of an answer
// came on it.
func (c *Client) post(ctx context.Context, body []byte) (v outbox.Verdict, stale bool) {
	var reused, heard atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(info httptrace.GotConnInfo) { reused.Store(info.Reused) },
		GotFirstResponseByte: func() { heard.Store(true) },
	})
	request, err := http.NewRequestWithContext(traced, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return later(outbox.CodeAddress, "the address cannot be read"), false
	}
	maps.Copy(request.Header, c.Header)
	response, err := c.Transport.RoundTrip(request)
	if err != nil {
		return broken(ctx, err), reused.Load() && !heard.Load() && ctx.Err() == nil && !timedOut(err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
	if err != nil {
		return broken(ctx, err), false
	}
	return c.Judge.judge(Answer{Status: response.StatusCode, Header: response.Header, Body: read}), false
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// Answer is an HTTP answer that was read to its end, or to just over what is read of one.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Judge says what an answer means.
type Judge struct {
	// Success judges an answer with a status from 200 to 299 that is no page and not too long.
	// RetryAfter is filled in when the verdict is Later.
	Success func(Answer) outbox.Verdict
	// Refusals are the statuses by which the server says that it will never take the request.
	Refusals []int
	Now      func() time.Time // for a Retry-After that is a date; nil: time.Now
}
