package httpsend

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// judge is a client to which {"ok":true} is a success.
var judge = Client{
	Success: func(a Answer) outbox.Verdict {
		if string(a.Body) == `{"ok":true}` {
			return outbox.Verdict{Outcome: outbox.Accepted}
		}
		return outbox.Verdict{}
	},
	Refusals: []int{400, 413},
}

const page = "\ufeff \n<!doctype html><title>Welcome</title>"

func answer(status int, body string, header ...string) Answer {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return newAnswer(status, h, []byte(body))
}

func TestWhatAnAnswerMeans(t *testing.T) {
	type verdict struct {
		outcome outbox.Outcome
		code    string
	}
	later := func(code string) verdict { return verdict{outbox.Later, code} }
	fewer, notAllowed := verdict{outbox.Fewer, outbox.CodeRefused}, verdict{outbox.NotAllowed, outbox.CodeKey}
	html := []string{"Content-Type", "text/html; charset=utf-8"}
	tests := []struct {
		name   string
		answer Answer
		want   verdict
	}{
		{"the acknowledgement", answer(200, `{"ok":true}`), verdict{outbox.Accepted, ""}},
		{"another success", answer(200, `{}`), later(outbox.CodeForeign)},
		{"a portal's page", answer(200, page), later(outbox.CodePortal)},
		{"the acknowledgement as a page", answer(200, `{"ok":true}`, html...), later(outbox.CodePortal)},
		{"an endless success", answer(200, `{"ok":true}`+strings.Repeat(" ", answerLimit)), later(outbox.CodePortal)},
		{"a network that wants a log-in", answer(511, ``), later(outbox.CodePortal)},
		{"400", answer(400, `{"detail":"no"}`), fewer},
		{"400 without a body", answer(400, ``), fewer},
		{"413 in plain text", answer(413, `too large`, "Content-Type", "text/plain"), fewer},
		{"a web server's 400, such as nginx's to plain HTTP at a TLS port", answer(400, page, html...), later(outbox.CodeForeign)},
		{"a web server's 400 that does not say it is a page", answer(400, page), later(outbox.CodeForeign)},
		{"a proxy's 413", answer(413, ``, html...), later(outbox.CodeForeign)},
		{"a page as XHTML", answer(400, ``, "Content-Type", "application/xhtml+xml"), later(outbox.CodeForeign)},
		{"401", answer(401, ``), notAllowed},
		{"403", answer(403, `{}`), notAllowed},
		{"a web server's 401", answer(401, page), later(outbox.CodeForeign)},
		{"a firewall's 403", answer(403, page, html...), later(outbox.CodeForeign)},
		{"404", answer(404, ``), later(outbox.CodeForeign)},
		{"422, which this server does not have", answer(422, ``), later(outbox.CodeForeign)},
		{"a plain request's proxy", answer(407, ``), later(outbox.CodeProxyPassword)},
		{"408", answer(408, ``), later(outbox.CodeServer)},
		{"429", answer(429, ``), later(outbox.CodeRetryAfter)},
		{"429 as a page", answer(429, page), later(outbox.CodeRetryAfter)},
		{"500", answer(500, ``), later(outbox.CodeServer)},
		{"502 as a page", answer(502, page), later(outbox.CodeServer)},
		{"503", answer(503, ``), later(outbox.CodeServer)},
		{"503 with a wish", answer(503, ``, "Retry-After", "5"), later(outbox.CodeRetryAfter)},
		{"301", answer(301, ``, "Location", "/"), later(outbox.CodeRedirect)},
		{"307 with a page", answer(307, page), later(outbox.CodeRedirect)},
		{"304", answer(304, ``), later(outbox.CodeRedirect)},
		{"101", answer(101, ``), later(outbox.CodeForeign)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := judge.judge(test.answer)
			if (verdict{got.Outcome, got.Code}) != test.want {
				t.Errorf("the verdict is %+v, want %+v: a wrong one loses messages or blocks them", got, test.want)
			}
		})
	}
}

func TestNothingOfAnAnswerIsKept(t *testing.T) {
	for _, status := range []int{200, 302, 400, 401, 404, 407, 413, 429, 500, 503} {
		for _, body := range []string{`{"sentinel":"sentinel"}`, "<sentinel>"} {
			v := judge.judge(answer(status, body, "Location", "sentinel", "Retry-After", "sentinel", "Content-Type", "sentinel"))
			if strings.Contains(v.Reason+v.Code, "sentinel") {
				t.Errorf("the reason for HTTP %d quotes the server: %s", status, v.Reason)
			}
		}
	}
}

func TestAWishToBeLeftAloneIsKeptWithEveryLater(t *testing.T) {
	for _, status := range []int{408, 429, 500, 503, 404} {
		if v := judge.judge(answer(status, ``, "Retry-After", "30")); v.RetryAfter != 30*time.Second {
			t.Errorf("after HTTP %d the wait is %s, want the 30 s that the server asked for", status, v.RetryAfter)
		}
	}
	if v := judge.judge(answer(400, ``, "Retry-After", "30")); v.RetryAfter != 0 {
		t.Errorf("a refusal is followed by a wait of %s: the good half of a batch would wait for the bad one", v.RetryAfter)
	}
}

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
		"Mon, 23 Nov 2026 12:00:20 GMT":  20 * time.Second,
		"Mon, 23 Nov 2026 11:59:59 GMT":  0,
		"Mon, 23 Nov 2027 12:00:00 GMT":  time.Hour,
		"Monday, 23-Nov-26 12:00:20 GMT": 20 * time.Second,
	} {
		if got := retryAfter(value, noon); got != want {
			t.Errorf("Retry-After %q is %s, want %s", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"", "30", "-1", "99999999999999999999", "Mon, 23 Nov 2026 12:00:20 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "١٢"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := retryAfter(value, noon); got < 0 || got > time.Hour {
			t.Errorf("Retry-After %q is %s, want something from 0 to an hour", value, got)
		}
	})
}

func FuzzJudge(f *testing.F) {
	for _, body := range []string{`{"ok":true}`, `{"status":"Ok"}`, page, ``, `{"ok":`, "\xff<", "<"} {
		for _, status := range []int{200, 237, 302, 400, 401, 503} {
			f.Add(status, body, "application/json", "120")
			f.Add(status, body, "text/html;", "")
		}
	}
	f.Fuzz(func(t *testing.T, status int, body, kind, after string) {
		v := judge.judge(answer(status, body, "Content-Type", kind, "Retry-After", after))
		foreign := strings.HasPrefix(strings.TrimSpace(body), "<") || strings.HasPrefix(kind, "text/html")
		switch {
		case v.Outcome == outbox.Accepted && (foreign || !isSuccess(status) || body != `{"ok":true}`):
			t.Errorf("HTTP %d with %q counts as accepted: the messages would be lost", status, body)
		case (v.Outcome == outbox.Fewer || v.Outcome == outbox.NotAllowed) && foreign:
			t.Errorf("HTTP %d with the page %q counts as the server's word", status, body)
		case v.Outcome != outbox.Accepted && (v.Reason == "" || v.Code == ""):
			t.Errorf("a message stays without a reason: %+v", v)
		case v.Outcome == 0, v.RetryAfter < 0, v.RetryAfter > time.Hour, v.Outcome != outbox.Later && v.RetryAfter > 0:
			t.Errorf("the verdict is %+v", v)
		}
		if json.Valid([]byte(body)) && bytes.HasPrefix([]byte(body), []byte("{")) && kind == "application/json" && status == 400 && v.Outcome != outbox.Fewer {
			t.Errorf("a refusal in JSON is %+v", v)
		}
	})
}
