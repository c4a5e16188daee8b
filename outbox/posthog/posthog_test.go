package posthog

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

const (
	page    = "<html>Welcome</html>"
	plainOk = `{"status": "Ok"}`
)

// reply is what a server says on one of the two paths.
type reply struct {
	status int
	body   string
}

// refuses is a refusal by PostHog itself.
func refuses(status int, tag string) reply {
	return reply{status, `{"error":"` + tag + `","error_description":"sentinel","error_uri":"https://posthog.com/docs/api"}`}
}

// script is a PostHog that answers so, and notes what it was asked.
type script struct {
	v1, batch reply
	asked     []string // the last part of each path
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	said := s.v1
	s.asked = append(s.asked, "v1")
	if r.URL.Path == "/batch/" {
		said, s.asked[len(s.asked)-1] = s.batch, "batch"
	}
	return &http.Response{
		StatusCode: said.status, Header: http.Header{"Retry-After": {"7"}}, Body: io.NopCloser(strings.NewReader(said.body)), Request: r,
	}, nil
}

func (s *script) sink() *Sink { return New(Config{Key: "k", Transport: s}) }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// three messages with the uuids ...1, ...2 and ...3.
func three() outbox.Request { return outbox.Request{Messages: tricky()[:3]} }

// results is an answer of capture v1 that gives the n-th message the n-th result.
func results(each ...string) string {
	var list []string
	for i, m := range three().Messages[:len(each)] {
		list = append(list, `"`+m.UUID+`":`+each[i])
	}
	return `{"results":{` + strings.Join(list, ",") + `}}`
}

const kept = `{"result":"ok"}`

func TestEachMessageGetsTheVerdictThatItsResultGives(t *testing.T) {
	dropped := func(tag string) string { return `{"result":"drop","details":"` + tag + `"}` }
	tests := map[string]outbox.Verdict{
		kept: {Outcome: outbox.Accepted},
		`{"result":"warning","details":"person_processing_disabled"}`: {Outcome: outbox.Accepted},
		`{"result":"ok","details":7}`:                                 {Outcome: outbox.Accepted},
		`{"result":"retry","details":"not_persisted"}`:                {Outcome: outbox.Later, Code: outbox.CodeServer},
		dropped("survey_responses_over_quota"):                        {Outcome: outbox.Later, Code: outbox.CodeQuota},
		dropped("billing_limit_exceeded"):                             {Outcome: outbox.Later, Code: outbox.CodeQuota},
		dropped("ai_byte_rate_limited"):                               {Outcome: outbox.Later, Code: outbox.CodeRetryAfter},
		dropped("non_historical_import_drop"):                         {Outcome: outbox.Later, Code: outbox.CodeServer}, // of a deployment for imports
		dropped("misrouted_event"):                                    {Outcome: outbox.Later, Code: outbox.CodeServer},
		dropped("sentinel"):                                           {Outcome: outbox.Later, Code: outbox.CodeServer},
		`{"result":"drop"}`:                                           {Outcome: outbox.Later, Code: outbox.CodeServer},
		`{"result":"sentinel"}`:                                       {Outcome: outbox.Later, Code: outbox.CodeForeign},
		`{"result":"OK"}`:                                             {Outcome: outbox.Later, Code: outbox.CodeForeign},
		`{"result":1}`:                                                {Outcome: outbox.Later, Code: outbox.CodeForeign},
		`{}`:                                                          {Outcome: outbox.Later, Code: outbox.CodeForeign},
		`null`:                                                        {Outcome: outbox.Later, Code: outbox.CodeForeign},
		`"ok"`:                                                        {Outcome: outbox.Later, Code: outbox.CodeForeign},
	}
	for _, tag := range final {
		tests[dropped(tag)] = outbox.Verdict{Outcome: outbox.Refused, Code: tag}
	}
	for result, want := range tests {
		s := &script{v1: reply{200, results(kept, result, kept)}}
		a := s.sink().Send(t.Context(), three())
		if len(a.Each) != 3 || a.Each[0].Outcome != outbox.Accepted || a.Each[2].Outcome != outbox.Accepted {
			t.Fatalf("%s: the verdicts are %+v; the neighbours were accepted", result, a.Each)
		}
		v := a.Each[1]
		if v.Outcome != want.Outcome || v.Code != want.Code || strings.Contains(v.Reason, "sentinel") {
			t.Errorf("%s: the verdict is %+v, want %+v in fixed words", result, v, want)
		}
		if v.Outcome == outbox.Refused && !strings.Contains(v.Reason, v.Code) {
			t.Errorf("the reason %q does not name PostHog's tag", v.Reason)
		}
		if !a.Proven || a.Memo != "" || a.RetryAfter != 7*time.Second || !slices.Equal(s.asked, []string{"v1"}) {
			t.Errorf("%s: %+v after asking %v; PostHog has named the messages and asked for 7 s", result, a, s.asked)
		}
	}
}

func TestAMessageThatIsNotNamedIsNotAccepted(t *testing.T) {
	first := three().Messages[0].UUID
	for name, body := range map[string]string{
		"no results":            `{"results":{}}`,
		"those of others":       `{"results":{"0190a3c0-0000-7000-8000-00000000000f":` + kept + `}}`,
		"in capitals":           `{"results":{"` + strings.ToUpper(first) + `":` + kept + `}}`,
		"without hyphens":       `{"results":{"` + strings.ReplaceAll(first, "-", "") + `":` + kept + `}}`,
		"with blanks around it": `{"results":{" ` + first + ` ":` + kept + `}}`,
		"a status beside it":    `{"status":"Ok","results":{}}`,
	} {
		a := (&script{v1: reply{200, body}}).sink().Send(t.Context(), three())
		accepted := func(v outbox.Verdict) bool { return v.Outcome != outbox.Later }
		if len(a.Each) != 3 || slices.ContainsFunc(a.Each, accepted) || a.Proven {
			t.Errorf("%s: %+v, want all to wait and nothing proven", name, a)
		}
	}
	a := (&script{v1: reply{200, results(kept)}}).sink().Send(t.Context(), three())
	if a.Each[0].Outcome != outbox.Accepted || a.Each[1].Outcome != outbox.Later || a.Each[2].Outcome != outbox.Later {
		t.Errorf("one of three is named: %+v", a.Each)
	}
}

func TestWhatAnAnswerToTheWholeRequestMeans(t *testing.T) {
	for _, test := range []struct {
		name    string
		v1      reply
		outcome outbox.Outcome
		code    string
		proven  bool
	}{
		{"one bad among all", refuses(400, "request_parsing_error"), outbox.Fewer, outbox.CodeRefused, true},
		{"too large", refuses(413, "payload_too_large"), outbox.Fewer, outbox.CodeRefused, true},
		{"too large for a proxy", reply{413, "no"}, outbox.Fewer, outbox.CodeRefused, false},
		{"no key of a project", refuses(401, "invalid_api_token"), outbox.NotAllowed, outbox.CodeKey, true},
		{"forbidden", refuses(403, "forbidden"), outbox.NotAllowed, outbox.CodeKey, true},
		{"over quota", refuses(429, "billing_limit_exceeded"), outbox.Later, outbox.CodeQuota, true},
		{"too fast", refuses(429, "rate_limited"), outbox.Later, outbox.CodeRetryAfter, true},
		{"too fast for a proxy", reply{429, page}, outbox.Later, outbox.CodeRetryAfter, false},
		{"too slow", refuses(408, "body_read_timeout"), outbox.Later, outbox.CodeServer, true},
		{"trouble", refuses(500, "internal_error"), outbox.Later, outbox.CodeServer, true},
		{"a gateway's trouble", reply{500, page}, outbox.Later, outbox.CodeServer, false},
		{"a redirect", reply{307, ""}, outbox.Later, outbox.CodeRedirect, false},
		{"a proxy without a password", reply{407, page}, outbox.Later, outbox.CodeProxyPassword, false},
		{"a network that wants a log-in", reply{511, page}, outbox.Later, outbox.CodePortal, false},
		{"an encoding it does not know", refuses(415, "unsupported_encoding"), outbox.Later, outbox.CodeForeign, true},
	} {
		s := &script{v1: test.v1}
		a := s.sink().Send(t.Context(), three())
		if a.Each != nil || a.Outcome != test.outcome || a.Code != test.code || a.Proven != test.proven || a.Memo != "" ||
			a.Reason == "" || strings.Contains(a.Reason, "sentinel") || a.RetryAfter != 7*time.Second || !slices.Equal(s.asked, []string{"v1"}) {
			t.Errorf("%s: the answer is %+v from %v, want outcome %d, code %q and proven %v from capture v1", test.name, a, s.asked, test.outcome, test.code, test.proven)
		}
	}
}

func TestWhatIsNoAnswerOfCaptureV1IsFollowedByBatch(t *testing.T) {
	for name, v1 := range map[string]reply{
		"an older PostHog":                  {404, ""},
		"an older PostHog with a page":      {404, page},
		"a proxy for one path":              {405, ""},
		"a proxy that forbids the other":    {403, "no"},
		"a proxy without a page":            {400, `{}`},
		"a proxy with a page":               {413, page},
		"a proxy that takes headers away":   refuses(400, "missing_required_headers"),
		"one that spoils them":              refuses(400, "invalid_header_value"),
		"a page":                            {200, page},
		"no results":                        {200, plainOk},
		"results that are none":             {200, `{"results":[]}`},
		"results that are null":             {200, `{"results":null}`},
		"another success":                   {202, results(kept)},
		"an answer without an end":          {200, `{"x":"` + strings.Repeat("x", 1<<20) + `",` + results(kept)[1:]},
		"nothing":                           {204, ``},
		"results that are a page's by type": {200, "\ufeff<" + results(kept)},
	} {
		s := &script{v1: v1, batch: reply{200, plainOk}}
		a := s.sink().Send(t.Context(), three())
		if a.Each != nil || a.Outcome != outbox.Accepted || a.Proven || a.Memo == "" || !slices.Equal(s.asked, []string{"v1", "batch"}) {
			t.Errorf("%s: the answer is %+v from %v, want that of /batch/, to be remembered", name, a, s.asked)
		}
	}
}

func TestOnlyTheAcknowledgementOfBatchCounts(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		code   string // "" for accepted
	}{
		{"Ok", 200, plainOk, ""},
		{"ok", 200, `{"status":"ok"}`, ""},
		{"1, as older versions say", 200, `{"status": 1}`, ""},
		{"Ok with more fields", 200, `{"status": "Ok", "x": []}`, ""},
		{"quota_limited of any shape", 200, `{"status": "Ok", "quota_limited": false}`, outbox.CodeQuota},
		{"another status", 200, `{"status": "queued"}`, outbox.CodeForeign},
		{"0", 200, `{"status": 0}`, outbox.CodeForeign},
		{"true", 200, `{"status": true}`, outbox.CodeForeign},
		{"no status", 200, `{}`, outbox.CodeForeign},
		{"a JSON array", 200, `[1]`, outbox.CodePortal},
		{"cut JSON", 200, `{"status": "O`, outbox.CodePortal},
		{"two documents", 200, `{"status": "Ok"}{}`, outbox.CodePortal},
		{"a page", 200, page, outbox.CodePortal},
		{"204", 204, ``, outbox.CodePortal},
		{"202", 202, plainOk, outbox.CodeForeign},
		{"400", 400, `{"type":"validation_error"}`, outbox.CodeRefused},
		{"413", 413, ``, outbox.CodeRefused},
		{"a page that refuses", 413, page, outbox.CodeForeign},
		{"401", 401, ``, outbox.CodeKey},
		{"404", 404, ``, outbox.CodeForeign},
		{"422", 422, ``, outbox.CodeForeign},
	} {
		s := &script{batch: reply{test.status, test.body}}
		a := s.sink().Send(t.Context(), outbox.Request{Memo: batchMemo})
		if a.Code != test.code || (a.Outcome == outbox.Accepted) != (test.code == "") || (a.Memo == batchMemo) != (test.code == "") || len(s.asked) != 1 {
			t.Errorf("%s: the answer is %+v from %v, want code %q", test.name, a, s.asked, test.code)
		}
	}
}

func TestAPostHogWithoutCaptureV1IsAskedForItOnce(t *testing.T) {
	for name, batch := range map[string]reply{"it accepts": {200, plainOk}, "it looks for a bad message": {400, "no"}} {
		s := &script{v1: reply{404, ""}, batch: batch}
		sink := s.sink()
		for range 3 {
			sink.Send(t.Context(), three())
		}
		if want := []string{"v1", "batch", "batch", "batch"}; !slices.Equal(s.asked, want) {
			t.Errorf("%s: it asked %v, want %v: each question in vain is a round trip", name, s.asked, want)
		}
	}
	s := &script{v1: reply{200, page}, batch: reply{200, page}}
	sink := s.sink()
	sink.Send(t.Context(), three())
	s.v1 = reply{200, results(kept)}
	if a := sink.Send(t.Context(), three()); a.Each == nil || a.Each[0].Outcome != outbox.Accepted {
		t.Errorf("behind the portal's page is a PostHog with capture v1: %+v", a)
	}
}

func TestASilentServerIsAskedForFewer(t *testing.T) {
	silent := roundTrip(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if a := New(Config{Key: "k", Transport: silent}).Send(ctx, three()); a.Outcome != outbox.Fewer || a.Code != outbox.CodeTimeout || a.Proven {
		t.Errorf("the answer is %+v, want fewer and a timeout", a)
	}
}

func FuzzAnswers(f *testing.F) {
	for _, body := range []string{plainOk, `{"status":"Ok","quota_limited":[]}`, page, ``, `{"status":`, `{"STATUS":"ok"}`,
		results(kept), `{"results":{"":{}}}`, refuses(400, "x").body, `{"error_uri":1,"results":7}`} {
		f.Add(200, body, 200, body)
		f.Add(400, body, 404, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string, batchStatus int, batchBody string) {
		if min(status, batchStatus) < 100 || max(status, batchStatus) > 999 {
			t.Skip()
		}
		r := three()
		a := (&script{reply{status, body}, reply{batchStatus, batchBody}, nil}).sink().Send(t.Context(), r)
		if a.Outcome == outbox.Accepted && (batchStatus != 200 || !json.Valid([]byte(batchBody)) || !strings.Contains(strings.ToLower(batchBody), "status")) {
			t.Errorf("HTTP %d with %q counts as accepted", batchStatus, batchBody)
		}
		if a.Each == nil {
			a.Each = []outbox.Verdict{a.Verdict}
		} else if len(a.Each) != len(r.Messages) || a.Outcome != 0 {
			t.Errorf("%+v, want one verdict for each message", a)
		}
		for i, v := range a.Each {
			if v.Outcome == 0 || v.Outcome != outbox.Accepted && (v.Reason == "" || v.Code == "") || len(v.Reason) > 200 {
				t.Errorf("a message stays without a reason: %+v", v)
			}
			if len(a.Each) > 1 && v.Outcome == outbox.Accepted && !strings.Contains(body, r.Messages[i].UUID[24:]) && !strings.Contains(body, `\u`) {
				t.Errorf("%q is a receipt for %s", body, r.Messages[i].UUID)
			}
		}
	})
}

func TestWhatIsWrongWithTheConfigurationIsToldBeforeAnythingIsSent(t *testing.T) {
	for name, test := range map[string]struct{ host, key, code, says string }{
		"no key":                 {"", " \t", outbox.CodeNoKey, "no PostHog key"},
		"a key of two lines":     {"", "phc_hush\nphc_hush", outbox.CodeKey, "no key has"},
		"a key in other letters": {"", "phc_ключ_hush", outbox.CodeKey, "no key has"},
		"no scheme":              {"us.i.posthog.com", "k", outbox.CodeAddress, DefaultHost},
		"a password":             {"https://hush:hush@us.i.posthog.com", "k", outbox.CodeAddress, DefaultHost},
		"a query":                {"https://us.i.posthog.com?x=hush", "k", outbox.CodeAddress, DefaultHost},
	} {
		sink := New(Config{Host: test.host, Key: test.key, Transport: roundTrip(nil)}) // a request would panic
		var unusable *outbox.Unusable
		err := sink.Check()
		if !errors.As(err, &unusable) || unusable.Code != test.code || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %s and %q", name, err, test.code, test.says)
		}
		for _, memo := range []string{"", batchMemo} {
			if a := sink.Send(t.Context(), outbox.Request{Memo: memo}); a.Outcome != outbox.Later || a.Code != test.code {
				t.Errorf("%s: the answer is %+v", name, a)
			}
		}
	}
}

func TestTheEndpointIsTheAddressAndNoSecret(t *testing.T) {
	for host, want := range map[string]string{
		"":                              DefaultHost,
		" https://EU.i.posthog.com/ \n": "https://eu.i.posthog.com",
		"http://127.0.0.1:8377/ph//":    "http://127.0.0.1:8377/ph",
		"https://u:hush@host":           "",
	} {
		sink := New(Config{Host: host, Key: "phc_hush"})
		if got := sink.Endpoint(); got != want || strings.Contains(got, "hush") {
			t.Errorf("the endpoint of %q is %q, want %q: it is stored and shown", host, got, want)
		}
	}
}
