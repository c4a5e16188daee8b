package outboxtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// elsewhere is where redirects lead: a page that says Ok to everything and keeps nothing.
const elsewhere = "/elsewhere"

// Request is one HTTP request, whatever came of it.
type Request struct {
	// Number counts from 1 in the order in which requests began.
	Number int
	// Method, Host and Path are those of the request line. Host is the host that the sender
	// meant, also when it used this server as its HTTP proxy.
	Method, Host, Path string
	// Token is the project key of the batch.
	Token string
	// Bytes is the size of the body as it was sent, Gzip whether it was compressed.
	Bytes int
	Gzip  bool
	// Events is the number of messages in the batch as far as it could be read, Committed
	// the number of those that were kept, repeats included.
	Events, Committed int
	// Fault is what the script had for the request, [Fault.Commit] included.
	Fault Fault
	// Status is what was answered, 0 for a request without an answer.
	Status int
	// Refusal is why the server itself refused the request, if it did. Then Fault was not
	// acted out.
	Refusal string
	// Begun is when the headers had been read, Ended when the last bytes of the answer were
	// about to be sent or the client had left; zero while that goes on.
	Begun, Ended time.Time
}

// exchange is one request while it is served.
type exchange struct {
	server  *Server
	writer  http.ResponseWriter
	request *http.Request
	closing <-chan struct{}
	flight  *flight
	record  Request
	latency time.Duration
	cut     bool // the connection is reset instead of all else
}

// ServeHTTP serves POST /batch/, and every other path with 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := s.begin(w, r)
	defer x.over()
	if r.URL.Path == elsewhere || r.Referer() != "" {
		s.violate(fmt.Sprintf("request %d follows a redirect to %s", x.record.Number, r.URL.Path))
	}
	fault, _ := findMode(x.record.Fault.Mode)
	switch {
	case x.cut:
		x.record.Refusal = "it came on a connection that was used before"
		x.answered(mode{play: (*exchange).reset})
	case r.URL.Path == elsewhere:
		x.answered(mode{status: http.StatusOK, play: (*exchange).ok})
	case fault.play != nil && !fault.commits: // such a fault does not get as far as the end of the body
		x.answered(fault)
	default:
		x.serve(fault)
	}
}

// serve is for a request that is read to its end.
func (x *exchange) serve(fault mode) {
	body, err := x.read()
	if err != nil {
		x.record.Refusal = fmt.Sprintf("the body broke off: %v", err)
		x.answered(mode{play: (*exchange).hangUp})
		return
	}
	no := x.receive(body)
	x.wait(x.latency)
	switch {
	case no != nil:
		x.record.Refusal = no.reason
		x.answered(mode{status: no.status, play: (*exchange).refused})
	case fault.play != nil:
		x.answered(fault)
	default:
		x.answered(mode{status: http.StatusOK, play: (*exchange).ok})
	}
}

// begin gives the request its number and its fault, and notes whether it overlaps another.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) *exchange {
	s.mu.Lock()
	select {
	case <-s.closing: // Close must find an end of requests
		s.mu.Unlock()
		panic(http.ErrAbortHandler)
	default:
	}
	x := &exchange{server: s, writer: w, request: r, closing: s.closing, latency: s.latency}
	x.cut = reused(r) && s.cutReused
	x.record = Request{
		Number: len(s.requests) + 1, Method: r.Method, Host: r.Host, Path: r.URL.Path, Begun: s.now(),
	}
	if r.URL.Path != elsewhere && !x.cut {
		x.record.Fault = s.script.next()
	}
	x.flight = newFlight(x.record.Number, r.Context())
	others := s.flights
	s.flights = append(slices.Clip(others), x.flight)
	s.requests = append(s.requests, x.record)
	s.happened()
	s.mu.Unlock()

	for _, other := range others {
		if other.stillOn() {
			s.violate(fmt.Sprintf("request %d began while request %d was still being served", x.record.Number, other.number))
		}
	}
	return x
}

// receive understands the body and keeps the batch, unless the fault forbids that.
func (x *exchange) receive(body []byte) *refusal {
	b, bad := parseBatch(body, x.server.now())
	x.record.Bytes, x.record.Gzip = len(body), isGzip(body)
	x.record.Token, x.record.Events = b.token, len(b.messages)
	x.save()
	x.pass(AfterRead)
	if x.record.Fault != (Fault{}) && !x.record.Fault.Commit {
		return nil
	}
	if no := x.misdirected(); no != nil {
		return no
	}
	if bad != nil {
		return bad
	}
	kept, no := x.server.keep(b, x.record.Number)
	if x.record.Committed = kept; kept > 0 {
		x.save()
		x.pass(AfterCommit)
	}
	return no
}

// read reads the body to its end. It allocates once when the client has told the length.
func (x *exchange) read() ([]byte, error) {
	length := min(max(0, x.request.ContentLength), maxBody)
	body := bytes.NewBuffer(make([]byte, 0, length+bytes.MinRead))
	_, err := body.ReadFrom(io.LimitReader(x.request.Body, maxBody+1))
	return body.Bytes(), err
}

// misdirected refuses what is no POST to /batch/.
func (x *exchange) misdirected() *refusal {
	if strings.TrimSuffix(x.request.URL.Path, "/") != "/batch" {
		return refuse(http.StatusNotFound, "there is nothing at %s, batches go to /batch/", x.request.URL.Path)
	}
	if x.request.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, "%s is not how a batch is sent", x.request.Method)
	}
	return nil
}

// answered acts an answer out, after it was noted and a test had its chance to stop it.
func (x *exchange) answered(answer mode) {
	x.record.Status = answer.status
	x.save()
	x.server.watching().answering(x.record)
	x.pass(BeforeAnswer)
	answer.play(x)
}

// over ends the request for the log. It is called before the last bytes are sent: a client
// that has them may begin the next request before this handler returns. Only the first call
// counts.
func (x *exchange) over() {
	if !x.record.Ended.IsZero() {
		return
	}
	x.record.Ended = x.server.now()
	x.save()
	x.server.land(x.flight)
}

func (x *exchange) save() {
	s := x.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[x.record.Number-1] = x.record
	s.happened()
}

// wait lets d pass. It returns false as soon as the client has left or the server closes.
func (x *exchange) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.request.Context().Done():
	case <-x.closing:
	}
	return false
}
