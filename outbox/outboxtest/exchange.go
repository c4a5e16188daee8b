package outboxtest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const page = `<!DOCTYPE html><html><h1>Free WiFi</h1><form method="post"><button>Accept</button></form></html>`

// exchange is one request while it is served.
type exchange struct {
	*Server
	w       http.ResponseWriter
	r       *http.Request
	told    settings
	record  Request
	v1      bool
	results map[string]map[string]string // capture v1's, by uuid
}

// ServeHTTP serves both protocols, and every other path with 404.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{Server: s, w: w, r: r, results: map[string]map[string]string{}}
	x.begin()
	fault := x.record.Fault
	body, err := x.read()
	if err != nil {
		x.record.Refusal, fault = "the body broke off", "close"
	} else if no, refused := errors.AsType[*refusal](x.receive(body)); refused {
		x.record.Refusal, fault = no.reason, Fault(strconv.Itoa(no.status))
	}
	x.wait(x.told.latency)
	x.answer(fault)
}

// begin gives the request its number and its fault.
func (x *exchange) begin() {
	x.do(func() {
		asksV1, fault := x.r.URL.Path == v1Path, x.set.then
		if x.set.same != "" && !asksV1 {
			fault = x.set.same
		} else if len(x.set.once) > 0 {
			fault, x.set.once = x.set.once[0], x.set.once[1:]
		}
		if x.set.same = ""; asksV1 {
			x.set.same = fault
		}
		x.told, x.v1 = x.set, asksV1 && !x.set.withoutV1
		x.record = Request{Number: len(x.requests) + 1, Fault: fault}
		x.requests = append(x.requests, x.record)
	})
}

// hold notes what the answer will be, and holds it back if a test wants that.
func (x *exchange) hold() {
	var p *Pause
	x.do(func() {
		x.requests[x.record.Number-1] = x.record
		p, x.pause = x.pause, nil
	})
	if p != nil {
		close(p.reached)
		<-p.over.Done()
	}
}

// wait lets d pass. It returns false as soon as the client has left or the server closes.
func (x *exchange) wait(d time.Duration) bool {
	select {
	case <-x.r.Context().Done():
		return false
	case <-time.After(d):
		return x.r.Context().Err() == nil
	}
}

// land looks whether another request has begun while this one was served. It is called before the last bytes are
// sent: a client that has them may begin the next request before the handler returns.
func (x *exchange) land() {
	if n := x.record.Number; len(x.Requests()) > n && x.wait(5*time.Second) { // in which the client is noticed that has left
		x.do(func() {
			x.overlaps = append(x.overlaps, fmt.Sprintf("request %d began while request %d was still being served", n+1, n))
		})
	}
}

// read reads the body to its end, or to where a fault comes in between.
func (x *exchange) read() ([]byte, error) {
	if x.record.Fault == "reset-in-body" {
		_, err := io.CopyN(io.Discard, x.r.Body, max(1, x.r.ContentLength/2))
		return nil, err
	}
	return io.ReadAll(io.LimitReader(x.r.Body, maxBody+1))
}

// receive understands the body and keeps what is good of it, unless the fault forbids that.
func (x *exchange) receive(body []byte) (err error) {
	var c capture
	switch {
	case !x.v1 && strings.TrimSuffix(x.r.URL.Path, "/") != "/batch":
		err = &refusal{http.StatusNotFound, "there is nothing at " + x.r.URL.Path}
	case x.r.Method != http.MethodPost:
		err = &refusal{http.StatusMethodNotAllowed, x.r.Method + " is not how events are sent"}
	default:
		c, err = read(x.v1, x.r.Header, body)
	}
	x.record.Events = len(c.messages)
	switch {
	case x.record.Fault != "" && !x.record.Fault.commits():
		return nil
	case err != nil:
		return err
	}
	return x.keep(c)
}

// keep keeps what is good, and has the results. /batch/ knows none: it refuses all for a bad one.
func (x *exchange) keep(c capture) (err error) {
	var kept []Commit
	for i, m := range c.messages {
		word, tag, _ := strings.Cut(cmp.Or(c.results[i], x.told.results(m), "ok"), ":")
		if word == "drop" && !x.v1 {
			if err = badRequest(fmt.Sprintf("message %d: %s", i+1, tag)); tag != "event_too_big" {
				return err
			}
			err = &refusal{http.StatusRequestEntityTooLarge, err.Error()} // what came before is kept
			break
		}
		if word == "retry" {
			x.w.Header().Set("Retry-After", "1")
		}
		if word == "ok" || word == "warning" || !x.v1 {
			kept = append(kept, Commit{Message: m, Request: x.record.Number, Seq: i + 1})
		}
		x.results[m.UUID] = map[string]string{"result": word, "details": tag}
	}
	x.do(func() {
		for i := range kept {
			c := &kept[i]
			c.Repeat = slices.ContainsFunc(x.sent[c.UUID], c.folds)
			x.commits, x.sent[c.UUID] = append(x.commits, *c), append(x.sent[c.UUID], *c)
		}
	})
	for _, c := range kept {
		x.told.watch(c)
	}
	x.record.Committed = len(kept)
	return err
}

// answer acts a fault out, or answers as a healthy server does.
func (x *exchange) answer(fault Fault) {
	mode, kind, body, missing := fault.Mode(), "application/json", `{"status": "Ok"}`, 0
	status := cmp.Or(fault.status(), http.StatusOK)
	said := cmp.Or(x.record.Refusal, http.StatusText(status))
	if mode == "quota-limited" && x.v1 {
		status, said = http.StatusTooManyRequests, "billing_limit_exceeded"
	}
	if results, err := json.Marshal(x.results); x.v1 && err == nil {
		body = `{"results":` + string(results) + `}`
	}
	switch {
	case mode == "hang" || mode == "close" || strings.HasPrefix(mode, "reset-"):
		status = 0
	case mode == "short-body":
		missing = 10
	case mode == "portal" || strings.HasPrefix(mode, "page-"):
		kind, body = "text/html; charset=utf-8", page
	case mode == "quota-limited" && !x.v1:
		body = `{"status": "Ok", "quota_limited": ["events"]}`
	case status >= 400 && x.v1 && status != http.StatusNotFound && status != http.StatusMethodNotAllowed:
		body = fmt.Sprintf(`{"error":%q,"error_description":"","error_uri":"https://posthog.com/docs/api"}`, said)
	case status >= 300:
		kind, body = "text/plain", said
	}
	x.record.Status = status
	x.hold()
	x.told.watch(x.record)
	if mode == "hang" {
		x.wait(math.MaxInt64)
	}
	x.land()
	if strings.HasPrefix(mode, "reset-") { // the rude way: the client gets ECONNRESET
		conn, _, err := http.NewResponseController(x.w).Hijack()
		if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
			return
		}
	}
	if status == 0 { // also a reset over TLS
		panic(http.ErrAbortHandler) // net/http's way to close without an answer and without a log line
	}
	x.w.Header().Set("Content-Type", kind)
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)+missing))
	x.w.Header().Set("Location", "/elsewhere")
	if wait := fault.retryAfter(); wait != "" {
		x.w.Header().Set("Retry-After", wait)
	}
	x.w.WriteHeader(status)
	io.WriteString(x.w, body) // a client that has left is no concern of the server's
}
