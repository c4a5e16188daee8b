package outboxtest

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// okBody is PostHog's answer to a batch that it has accepted.
const okBody = `{"status": "Ok"}`

const page = `<!DOCTYPE html>
<html><head><title>Welcome</title></head>
<body><h1>Free WiFi</h1><form method="post"><button>Accept and connect</button></form></body></html>
`

// The methods of this file act an answer or a fault out. Each of them calls over before the
// last thing that its client gets to see.

func (x *exchange) ok() { x.json(http.StatusOK, okBody) }

func (x *exchange) quotaLimited() {
	x.json(http.StatusOK, `{"status": "Ok", "quota_limited": ["events"]}`)
}

// page answers with a page for people, as whoever stands between client and server does.
func (x *exchange) page() { x.answer(x.record.Status, "text/html; charset=utf-8", page) }

func (x *exchange) json(status int, body string) { x.answer(status, "application/json", body) }

// refused answers with the server's own verdict.
func (x *exchange) refused() { x.plain(x.record.Status, x.record.Refusal) }

func (x *exchange) plain(status int, reason string) {
	x.answer(status, "text/plain; charset=utf-8", reason+"\n")
}

func (x *exchange) answer(status int, contentType, body string) {
	x.writer.Header().Set("Content-Type", contentType)
	x.writer.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.over()
	x.writer.WriteHeader(status)
	_, _ = io.WriteString(x.writer, body) // a client that has left is no concern of the server's
}

// plainStatus answers with a status and perhaps a Retry-After. A status that promises success
// comes with the body of success, so that only a sender that looks at both is not deceived.
func (x *exchange) plainStatus() {
	status := x.record.Status
	if status == http.StatusNoContent || status == http.StatusNotModified {
		x.over()
		x.writer.WriteHeader(status)
		return
	}
	if status < 300 {
		x.json(status, okBody)
		return
	}
	if value := x.record.Fault.value(""); value != "" {
		header, _ := retryAfter(value, x.server.now()) // SetScript has checked it
		x.writer.Header().Set("Retry-After", header)
	}
	x.plain(status, http.StatusText(status))
}

// redirect sends the client to a page that would deceive it.
func (x *exchange) redirect() {
	x.writer.Header().Set("Location", elsewhere)
	x.plain(x.record.Status, http.StatusText(x.record.Status))
}

// hang waits until the client leaves or the server closes.
func (x *exchange) hang() {
	select {
	case <-x.request.Context().Done():
	case <-x.closing:
	}
	x.hangUp()
}

// hangUp closes the connection without an answer, in the orderly way.
func (x *exchange) hangUp() {
	x.over()
	panic(http.ErrAbortHandler) // net/http's way to close without an answer and without a log line
}

// reset closes the connection the rude way, so that the client gets ECONNRESET.
func (x *exchange) reset() {
	x.over()
	conn, _, err := http.NewResponseController(x.writer).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if secure, ok := conn.(*tls.Conn); ok {
		raw = secure.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // makes Close send RST instead of FIN
	}
	_ = raw.Close()
}

func (x *exchange) resetInBody() {
	_, _ = io.CopyN(io.Discard, x.request.Body, max(1, x.request.ContentLength/2))
	x.reset()
}

// drip sends the body of success byte by byte. It is complete in the end.
func (x *exchange) drip() {
	every, err := time.ParseDuration(x.record.Fault.value("1s"))
	if err != nil {
		panic(fmt.Sprintf("outboxtest: SetScript let the fault %q pass: %v", x.record.Fault, err))
	}
	x.writer.Header().Set("Content-Type", "application/json")
	x.writer.Header().Set("Content-Length", strconv.Itoa(len(okBody)))
	x.writer.WriteHeader(http.StatusOK)
	for i := range len(okBody) {
		if !x.wait(every) {
			x.hangUp()
		}
		if i == len(okBody)-1 {
			x.over()
		}
		x.flush(okBody[i : i+1])
	}
}

func (x *exchange) shortBody() {
	x.writer.Header().Set("Content-Type", "application/json")
	x.writer.Header().Set("Content-Length", strconv.Itoa(len(okBody)+10))
	x.over()
	x.flush(okBody)
}

// flush sends a part of the body at once.
func (x *exchange) flush(part string) {
	_, _ = io.WriteString(x.writer, part)
	_ = http.NewResponseController(x.writer).Flush()
}
