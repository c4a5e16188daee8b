package outbox

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func answer(status int, body string, header ...string) *http.Response {
	r := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestOnlyPostHogsOwnAcknowledgementCounts(t *testing.T) {
	tests := []struct {
		name   string
		answer *http.Response
		want   outcome
	}{
		{"Ok", answer(200, `{"status": "Ok"}`), accepted},
		{"ok", answer(200, `{"status":"ok"}`), accepted},
		{"1, as older versions say", answer(200, `{"status": 1}`), accepted},
		{"Ok with more fields", answer(200, `{"status": "Ok", "x": []}`), accepted},
		{"over quota", answer(200, `{"status": "Ok", "quota_limited": ["events"]}`), later},
		{"quota_limited of any shape", answer(200, `{"status": "Ok", "quota_limited": false}`), later},
		{"another status", answer(200, `{"status": "queued"}`), later},
		{"0", answer(200, `{"status": 0}`), later},
		{"true", answer(200, `{"status": true}`), later},
		{"a JSON array", answer(200, `[1]`), later},
		{"a JSON string", answer(200, `"Ok"`), later},
		{"no body", answer(200, ``), later},
		{"cut JSON", answer(200, `{"status": "O`), later},
		{"two documents", answer(200, `{"status": "Ok"}{}`), later},
		{"a captive portal's page", answer(200, `<html>Welcome</html>`), later},
		{"an endless answer", answer(200, `{"status": "Ok"}`+strings.Repeat(" ", answerLimit)), later},
		{"204", answer(204, ``), later},
		{"202", answer(202, `{"status": "Ok"}`), later},
		{"a redirect", answer(302, ``), later},
		{"400", answer(400, ``), refused},
		{"413", answer(413, ``), refused},
		{"401", answer(401, ``), later},
		{"403", answer(403, ``), later},
		{"408", answer(408, ``), later},
		{"429", answer(429, ``), later},
		{"404, a wrong host", answer(404, ``), later},
		{"500", answer(500, ``), later},
		{"503", answer(503, ``), later},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := judge(test.answer, time.Now()); got.outcome != test.want {
				t.Errorf("the verdict is %+v, want outcome %d", got, test.want)
			}
		})
	}
}

func TestNothingOfAnAnswerIsKept(t *testing.T) {
	for _, status := range []int{200, 302, 400, 401, 413, 429, 500} {
		v := judge(answer(status, `{"status":"sentinel"}`, "Location", "sentinel", "Retry-After", "sentinel"), time.Now())
		if strings.Contains(v.reason, "sentinel") {
			t.Errorf("the reason for HTTP %d quotes the server: %s", status, v.reason)
		}
	}
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
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
		"Mon, 23 Nov 2026 10:00:20 GMT":  20 * time.Second,
		"Mon, 23 Nov 2026 09:59:59 GMT":  0,
		"Monday, 23-Nov-26 10:00:20 GMT": 20 * time.Second,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q is %s, want %s", value, got, want)
		}
	}
}

func FuzzJudge(f *testing.F) {
	for _, body := range []string{`{"status": "Ok"}`, `{"status": 1}`, `{"status":"Ok","quota_limited":[]}`, `<html>`, ``, `{"status":`} {
		f.Add(200, body, "")
		f.Add(503, body, "120")
	}
	f.Fuzz(func(t *testing.T, status int, body, after string) {
		v := judge(answer(status, body, "Retry-After", after), time.Unix(0, 0))
		if v.outcome == accepted && (status != 200 || !strings.Contains(body, "status")) {
			t.Errorf("HTTP %d with %q counts as accepted", status, body)
		}
		if v.outcome != accepted && v.reason == "" {
			t.Error("a message stays without anybody saying why")
		}
		if v.retryAfter < 0 || (v.outcome == refused) != (status == 400 || status == 413) {
			t.Errorf("HTTP %d gives %+v", status, v)
		}
	})
}
