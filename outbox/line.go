package outbox

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// pass lets one request through, within ctx. wanted may still hold it back; nil: it does not.
type pass struct {
	ctx    context.Context
	wanted func(context.Context) error
}

// door is the transport below posthog-go: a request waits there for its pass.
type door struct {
	passes <-chan pass
	line   *line
}

// RoundTrip returns an empty success for an acknowledged request and a verdict for all else.
func (d door) RoundTrip(request *http.Request) (*http.Response, error) {
	p, open := <-d.passes
	if !open {
		return nil, verdict{outcome: withdrawn, reason: "given up"}
	}
	return d.line.carry(request, p)
}

// line carries one request at a time, and is the acknowledgement: posthog-go takes any 2xx for
// success, whoever sent it.
type line struct {
	next  http.RoundTripper
	now   func() time.Time
	point func(string)
	mu    sync.Mutex
}

func (l *line) carry(request *http.Request, p pass) (*http.Response, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.point("before-request")
	if p.wanted != nil {
		if err := p.wanted(p.ctx); err != nil {
			return nil, err
		}
	}
	response, err := l.next.RoundTrip(request.WithContext(p.ctx))
	if err != nil {
		return nil, verdict{outcome: later, reason: describe(err)}
	}
	defer response.Body.Close()
	v := judge(response, l.now())
	l.point("after-request")
	if v.outcome != accepted {
		return nil, v
	}
	return &http.Response{
		Status: response.Status, StatusCode: response.StatusCode,
		Body: http.NoBody, Request: request,
	}, nil
}
