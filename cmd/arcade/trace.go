package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// httpClient makes the client of commands that talk to Arcade. With --debug it tells each
// request on stderr.
func (a *app) httpClient() *http.Client {
	if !a.debugRequests {
		return &http.Client{Transport: a.network()}
	}
	return &http.Client{Transport: tracer{a}}
}

// tracer tells method, address, status and duration of a request. Headers, bodies, queries and
// user names hold secrets and are left out.
type tracer struct{ *app }

// RoundTrip carries the request out and tells how it ended.
func (t tracer) RoundTrip(request *http.Request) (*http.Response, error) {
	start := t.now()
	response, err := t.network().RoundTrip(request)
	outcome := "no answer"
	if err == nil {
		outcome = strconv.Itoa(response.StatusCode)
	}
	address := url.URL{Scheme: request.URL.Scheme, Host: request.URL.Host, Path: request.URL.Path}
	fmt.Fprintf(t.err, "debug: %s %s: %s in %d ms\n", request.Method, address.String(), outcome,
		t.now().Sub(start)/time.Millisecond)
	return response, err
}
