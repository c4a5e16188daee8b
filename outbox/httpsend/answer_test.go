package httpsend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

const (
	acknowledgement = `{"ok":true}`
	page            = "\ufeff \n<!doctype html><title>hush</title>"
)

// judge is a client to which the acknowledgement is a success.
var judge = Client{
	Success: func(a Answer) (v outbox.Verdict) {
		if strings.TrimSpace(string(a.Body)) == acknowledgement {
			v.Outcome = outbox.Accepted
		}
		return v
	},
	Refusals: []int{400, 413},
}

// answer makes an answer; header are names and values in turn.
func answer(status int, body string, header ...string) Answer {
	h := http.Header{"Location": {"hush"}, "Server": {"hush"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return newAnswer(status, h, []byte(body))
}

func TestWhatAnAnswerMeans(t *testing.T) {
	later := func(code string) outbox.Verdict { return outbox.Verdict{Outcome: outbox.Later, Code: code} }
	html := []string{"Content-Type", "text/html; charset=utf-8"}
	padded := acknowledgement + strings.Repeat(" ", 1<<20-len(acknowledgement)) // as large as an answer may be
	for want, answers := range map[outbox.Verdict][]Answer{
		{Outcome: outbox.Accepted}: {answer(200, acknowledgement), answer(200, padded)},
		{Outcome: outbox.Fewer, Code: outbox.CodeRefused}: {
			answer(400, `{"detail":"hush"}`), answer(413, `hush`, "Content-Type", "text/plain")},
		{Outcome: outbox.NotAllowed, Code: outbox.CodeKey}: {answer(401, ``), answer(403, `{"detail":"hush"}`)},
		later(outbox.CodePortal): {
			answer(200, `[]`), answer(204, ``), answer(200, page), answer(200, acknowledgement, html...), answer(200, padded+" "),
			answer(511, ``)},
		later(outbox.CodeProxyPassword): {answer(407, ``)},
		later(outbox.CodeRedirect):      {answer(301, ``, "Location", "/"), answer(307, page)},
		later(outbox.CodeRetryAfter):    {answer(429, ``), answer(429, page), answer(503, `hush`, "Retry-After", "5")},
		later(outbox.CodeServer):        {answer(408, ``), answer(408, page), answer(500, ``), answer(502, page), answer(503, ``)},
		later(outbox.CodeForeign): {
			answer(101, ``), answer(200, `{"hush":1}`),
			answer(422, ``),            // not among the refusals of this server
			answer(403, page, html...), // a firewall's
			answer(400, page, html...), // nginx's to plain HTTP at a TLS port
			answer(400, page),          // a web server's that does not call it a page
			answer(400, ``, "Content-Type", "application/xhtml+xml")},
	} {
		for _, a := range answers {
			got := judge.judge(a)
			if strings.Contains(got.Reason, "hush") || (got.Reason == "") != (got.Outcome == outbox.Accepted) {
				t.Errorf("HTTP %d: the reason quotes the server, or is none: %q", a.Status, got.Reason)
			}
			if got.Reason = ""; got != want {
				t.Errorf("HTTP %d with %.60q (a page: %v): the verdict is %+v, want %+v: a wrong one loses messages or blocks them",
					a.Status, a.Body, a.Page, got, want)
			}
		}
	}
}

func TestWithoutAnAcknowledgementToLookForTheStatusIsEnough(t *testing.T) {
	for status, want := range map[int]outbox.Outcome{204: outbox.Accepted, 302: outbox.Later, 400: outbox.Later} {
		if v := (&Client{}).judge(answer(status, "")); v.Outcome != want {
			t.Errorf("HTTP %d is %+v, want outcome %d", status, v, want)
		}
	}
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for want, values := range map[time.Duration][]string{
		0 * time.Second:  {"", "0", "-5", "1.5", "soon", "١٢", "Mon, 23 Nov 2026 11:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"},
		20 * time.Second: {"20", " 20 ", "Mon, 23 Nov 2026 12:00:20 GMT", "Monday, 23-Nov-26 12:00:20 GMT"},
		time.Hour:        {"3600", "3601", "18446744073709551616", "Fri, 31 Dec 9999 23:59:59 GMT"},
	} {
		for _, value := range values {
			if got := retryAfter(value, noon); got != want {
				t.Errorf("Retry-After %q is %s, want %s", value, got, want)
			}
		}
	}
}
