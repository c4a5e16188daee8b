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
	accepted := outbox.Verdict{Outcome: outbox.Accepted}
	fewer := outbox.Verdict{Outcome: outbox.Fewer, Code: outbox.CodeRefused}
	notAllowed := outbox.Verdict{Outcome: outbox.NotAllowed, Code: outbox.CodeKey}
	html := []string{"Content-Type", "text/html; charset=utf-8"}
	padded := acknowledgement + strings.Repeat(" ", 1<<20-len(acknowledgement))
	for name, test := range map[string]struct {
		answer Answer
		want   outbox.Verdict
	}{
		"the acknowledgement":                            {answer(200, acknowledgement), accepted},
		"another success":                                {answer(200, `{"hush":1}`), later(outbox.CodeForeign)},
		"a success that is no object":                    {answer(200, `[]`), later(outbox.CodePortal)},
		"a success without a body":                       {answer(204, ``), later(outbox.CodePortal)},
		"a portal's page":                                {answer(200, page), later(outbox.CodePortal)},
		"the acknowledgement as a page":                  {answer(200, acknowledgement, html...), later(outbox.CodePortal)},
		"a success of 1 MiB":                             {answer(200, padded), accepted},
		"an endless success":                             {answer(200, padded+" "), later(outbox.CodePortal)},
		"a network that wants a log-in":                  {answer(511, ``), later(outbox.CodePortal)},
		"400":                                            {answer(400, `{"detail":"hush"}`), fewer},
		"413 in plain text":                              {answer(413, `hush`, "Content-Type", "text/plain"), fewer},
		"nginx's 400 to plain HTTP at a TLS port":        {answer(400, page, html...), later(outbox.CodeForeign)},
		"a web server's 400 that does not say it a page": {answer(400, page), later(outbox.CodeForeign)},
		"a page as XHTML":                                {answer(400, ``, "Content-Type", "application/xhtml+xml"), later(outbox.CodeForeign)},
		"401":                                            {answer(401, ``), notAllowed},
		"403":                                            {answer(403, `{"detail":"hush"}`), notAllowed},
		"a firewall's 403":                               {answer(403, page, html...), later(outbox.CodeForeign)},
		"422, which this server does not have":           {answer(422, ``), later(outbox.CodeForeign)},
		"a plain request's proxy":                        {answer(407, ``), later(outbox.CodeProxyPassword)},
		"408":                                            {answer(408, ``), later(outbox.CodeServer)},
		"408 as a page":                                  {answer(408, page), later(outbox.CodeServer)},
		"429":                                            {answer(429, ``), later(outbox.CodeRetryAfter)},
		"429 as a page":                                  {answer(429, page), later(outbox.CodeRetryAfter)},
		"500":                                            {answer(500, ``), later(outbox.CodeServer)},
		"502 as a page":                                  {answer(502, page), later(outbox.CodeServer)},
		"503":                                            {answer(503, ``), later(outbox.CodeServer)},
		"503 with a wish":                                {answer(503, `hush`, "Retry-After", "5"), later(outbox.CodeRetryAfter)},
		"301":                                            {answer(301, ``, "Location", "/"), later(outbox.CodeRedirect)},
		"307 with a page":                                {answer(307, page), later(outbox.CodeRedirect)},
		"101":                                            {answer(101, ``), later(outbox.CodeForeign)},
	} {
		got := judge.judge(test.answer)
		if strings.Contains(got.Reason, "hush") || (got.Reason == "") != (got.Outcome == outbox.Accepted) {
			t.Errorf("%s: the reason quotes the server, or is none: %q", name, got.Reason)
		}
		if got.Reason = ""; got != test.want {
			t.Errorf("%s: the verdict is %+v, want %+v: a wrong one loses messages or blocks them", name, got, test.want)
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

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"30":                             30 * time.Second,
		" 30 ":                           30 * time.Second,
		"3600":                           time.Hour,
		"3601":                           time.Hour,
		"18446744073709551616":           time.Hour,
		"-5":                             0,
		"1.5":                            0,
		"soon":                           0,
		"١٢":                             0,
		"Mon, 23 Nov 2026 12:00:20 GMT":  20 * time.Second,
		"Mon, 23 Nov 2026 11:59:59 GMT":  0,
		"Mon, 01 Jan 0001 00:00:00 GMT":  0,
		"Fri, 31 Dec 9999 23:59:59 GMT":  time.Hour,
		"Monday, 23-Nov-26 12:00:20 GMT": 20 * time.Second,
	} {
		if got := retryAfter(value, noon); got != want {
			t.Errorf("Retry-After %q is %s, want %s", value, got, want)
		}
	}
}
