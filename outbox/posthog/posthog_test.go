package posthog

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
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

// to is the reply as an answer to a request.
func (r reply) to(request *http.Request) *http.Response {
	return &http.Response{
		StatusCode: r.status, Header: http.Header{"Retry-After": {"7"}}, Body: io.NopCloser(strings.NewReader(r.body)), Request: request,
	}
}

// script is a PostHog that answers so, breaks off where there is no status, and notes what it was asked.
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
	if said.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return said.to(r), nil
}

func (s *script) sink() *Sink { return New(Config{Key: "k", Transport: s}) }

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
	later := func(code string) outbox.Verdict { return outbox.Verdict{Outcome: outbox.Later, Code: code} }
	tests := map[outbox.Verdict][]string{
		{Outcome: outbox.Accepted}: {
			kept, `{"result":"warning","details":"person_processing_disabled"}`, `{"result":"ok","details":7}`},
		later(outbox.CodeServer): {
			`{"result":"retry","details":"not_persisted"}`, `{"result":"drop"}`, dropped("sentinel"),
			dropped("non_historical_import_drop"), dropped("misrouted_event")}, // of a server for something else
		later(outbox.CodeQuota):      {dropped("survey_responses_over_quota"), dropped("billing_limit_exceeded")},
		later(outbox.CodeRetryAfter): {dropped("ai_byte_rate_limited")},
		later(outbox.CodeForeign): {
			`{"result":"sentinel"}`, `{"result":"OK"}`, `{"result":1}`, `{}`, `null`, `"ok"`},
	}
	for _, tag := range final {
		tests[outbox.Verdict{Outcome: outbox.Refused, Code: tag}] = []string{dropped(tag)}
	}
	for want, each := range tests {
		for _, result := range each {
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
}

func TestAMessageThatIsNotNamedIsNotAccepted(t *testing.T) {
	first := three().Messages[0].UUID
	for body, accepted := range map[string]int{
		results(kept):    1,
		`{"results":{}}`: 0,
		`{"results":{"0190a3c0-0000-7000-8000-00000000000f":` + kept + `}}`:       0,
		`{"results":{"` + strings.ToUpper(first) + `":` + kept + `}}`:             0,
		`{"results":{"` + strings.ReplaceAll(first, "-", "") + `":` + kept + `}}`: 0,
		`{"results":{" ` + first + ` ":` + kept + `}}`:                            0,
		`{"status":"Ok","results":{}}`:                                            0,
	} {
		a := (&script{v1: reply{200, body}}).sink().Send(t.Context(), three())
		for i, v := range a.Each {
			if want := i < accepted; want != (v.Outcome == outbox.Accepted) || !want && v.Outcome != outbox.Later {
				t.Errorf("%s: the verdict on message %d is %+v, want accepted %v, or else later", body, i+1, v, want)
			}
		}
		if len(a.Each) != 3 || a.Proven != (accepted > 0) {
			t.Errorf("%s: the answer is %+v, want three verdicts, and proof only by a name", body, a)
		}
	}
}

func TestWhatAnAnswerToTheWholeRequestMeans(t *testing.T) {
	for _, test := range []struct {
		outcome outbox.Outcome
		code    string
		proven  bool // by PostHog's own words
		says    []reply
	}{
		{outbox.Fewer, outbox.CodeRefused, true, []reply{refuses(400, "request_parsing_error"), refuses(413, "payload_too_large")}},
		{outbox.Fewer, outbox.CodeRefused, false, []reply{{413, "no"}}}, // for a proxy
		{outbox.NotAllowed, outbox.CodeKey, true, []reply{refuses(401, "invalid_api_token"), refuses(403, "forbidden")}},
		{outbox.Later, outbox.CodeQuota, true, []reply{refuses(429, "billing_limit_exceeded")}},
		{outbox.Later, outbox.CodeRetryAfter, true, []reply{refuses(429, "rate_limited")}},
		{outbox.Later, outbox.CodeRetryAfter, false, []reply{{429, page}}},
		{outbox.Later, outbox.CodeServer, true, []reply{refuses(408, "body_read_timeout"), refuses(500, "internal_error")}},
		{outbox.Later, outbox.CodeServer, false, []reply{{500, page}}}, // a gateway's
		{outbox.Later, outbox.CodeForeign, true, []reply{refuses(415, "unsupported_encoding")}},
		{outbox.Later, outbox.CodeBroken, false, []reply{{}}},
		{outbox.Later, outbox.CodeRedirect, false, []reply{{307, ""}}},
		{outbox.Later, outbox.CodeProxyPassword, false, []reply{{407, page}}},
		{outbox.Later, outbox.CodePortal, false, []reply{{511, page}}}, // a network that wants a log-in
		// What is accepted was no answer of capture v1, and was followed by /batch/.
		{outbox.Accepted, "", false, []reply{
			{404, ""}, {404, page}, // an older PostHog
			{405, ""}, {403, "no"}, {400, `{}`}, {413, page}, // a proxy for one path
			refuses(400, "missing_required_headers"), refuses(400, "invalid_header_value"), // one that takes headers away
			{200, page}, {200, "\ufeff<" + results(kept)}, {200, plainOk}, {200, `{"results":[]}`}, {200, `{"results":null}`},
			{200, `{"x":"` + strings.Repeat("x", 1<<20) + `",` + results(kept)[1:]}, // it has no end
			{202, results(kept)}, {204, ``},
		}},
	} {
		for _, says := range test.says {
			t.Run(fmt.Sprintf("HTTP %d %.60q", says.status, says.body), func(t *testing.T) {
				s := &script{v1: says, batch: reply{200, plainOk}}
				a := s.sink().Send(t.Context(), three())
				asked := []string{"v1"}
				want := outbox.Answer{Proven: test.proven}
				want.Outcome, want.Code, want.Reason = test.outcome, test.code, a.Reason
				if test.outcome == outbox.Accepted {
					asked, want.Memo = []string{"v1", "batch"}, batchMemo
				}
				if says.status != 0 {
					want.RetryAfter = 7 * time.Second // the server's
				}
				if !reflect.DeepEqual(a, want) || !slices.Equal(s.asked, asked) {
					t.Errorf("the answer is %+v from %v, want %+v from %v", a, s.asked, want, asked)
				}
				if (a.Reason == "") != (test.outcome == outbox.Accepted) || strings.Contains(a.Reason, "sentinel") {
					t.Errorf("the reason is %q, want one in fixed words", a.Reason)
				}
			})
		}
	}
}

func TestOnlyTheAcknowledgementOfBatchCounts(t *testing.T) {
	for code, answers := range map[string][]reply{
		"":               {{200, plainOk}, {200, `{"status":"ok"}`}, {200, `{"status": 1}`}, {200, `{"status": "Ok", "x": []}`}},
		outbox.CodeQuota: {{200, `{"status": "Ok", "quota_limited": false}`}},
		outbox.CodeForeign: {{200, `{"status": "queued"}`}, {200, `{"status": 0}`}, {200, `{"status": true}`}, {200, `{}`},
			{202, plainOk}, {422, ``}},
		outbox.CodePortal:  {{200, `[1]`}, {200, `{"status": "O`}, {200, `{"status": "Ok"}{}`}},
		outbox.CodeRefused: {{400, `{"type":"validation_error"}`}, {413, ``}},
	} {
		for _, says := range answers {
			s := &script{batch: says}
			a := s.sink().Send(t.Context(), outbox.Request{Memo: batchMemo})
			accepted := code == ""
			if a.Code != code || (a.Outcome == outbox.Accepted) != accepted || (a.Memo == batchMemo) != accepted || len(s.asked) != 1 {
				t.Errorf("HTTP %d %s: the answer is %+v from %v, want code %q", says.status, says.body, a, s.asked, code)
			}
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

// FuzzAnswers sends a message alone, for which only its uuid or an acknowledgement of /batch/ is a receipt.
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
		r := outbox.Request{Messages: three().Messages[:1]}
		s := &script{v1: reply{status, body}, batch: reply{batchStatus, batchBody}}
		a := s.sink().Send(t.Context(), r)
		v, isReceipt := a.Verdict, batchStatus == 200 && strings.Contains(strings.ToLower(batchBody), "status")
		if a.Each != nil {
			v, isReceipt = a.Each[0], strings.Contains(body, aUUID[24:]) || strings.Contains(body, `\u`)
		}
		if len(a.Each) > 1 || v.Outcome == 0 || len(v.Reason) > 200 {
			t.Errorf("%+v, want one verdict in fixed words", a)
		}
		if accepted := v.Outcome == outbox.Accepted; accepted && !isReceipt || !accepted && (v.Reason == "" || v.Code == "") {
			t.Errorf("the verdict is %+v on HTTP %d %q, and HTTP %d %q", v, status, body, batchStatus, batchBody)
		}
	})
}

func TestWhatIsWrongWithTheConfigurationIsToldBeforeAnythingIsSent(t *testing.T) {
	for name, test := range map[string]struct{ host, key, endpoint, code, says string }{
		"no host":                {"", "k", DefaultHost, "", ""},
		"blanks and a slash":     {" https://EU.i.posthog.com/ \n", "k", "https://eu.i.posthog.com", "", ""},
		"a server of one's own":  {"http://127.0.0.1:8377/ph//", "k", "http://127.0.0.1:8377/ph", "", ""},
		"no key":                 {"", " \t", DefaultHost, outbox.CodeNoKey, "no PostHog key"},
		"a key of two lines":     {"", "phc_hush\nphc_hush", DefaultHost, outbox.CodeKey, "no key has"},
		"a key of two words":     {"", "phc_hush phc_hush", DefaultHost, outbox.CodeKey, "no key has"},
		"a key with a DEL in it": {"", "phc_hush\x7f", DefaultHost, outbox.CodeKey, "no key has"},
		"a key with all signs":   {"", "!phc_~", DefaultHost, "", ""},
		"no scheme":              {"us.i.posthog.com", "k", "", outbox.CodeAddress, DefaultHost},
		"a password":             {"https://hush:hush@us.i.posthog.com", "k", "", outbox.CodeAddress, DefaultHost},
		"a query":                {"https://us.i.posthog.com?x=hush", "k", "", outbox.CodeAddress, DefaultHost},
	} {
		sink := New(Config{Host: test.host, Key: test.key, Transport: (*script)(nil)}) // a request would panic
		if got := sink.Endpoint(); got != test.endpoint {
			t.Errorf("%s: the endpoint is %q, want %q: it is stored and shown", name, got, test.endpoint)
		}
		err := sink.Check()
		if test.code == "" {
			if err != nil {
				t.Errorf("%s: %v, want no error", name, err)
			}
			continue
		}
		unusable, _ := errors.AsType[*outbox.Unusable](err)
		if unusable == nil || unusable.Code != test.code || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %s and %q", name, err, test.code, test.says)
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v quotes what may be a secret", name, err)
		}
		for _, memo := range []string{"", batchMemo} {
			if a := sink.Send(t.Context(), outbox.Request{Memo: memo}); a.Outcome != outbox.Later || a.Code != test.code {
				t.Errorf("%s: the answer is %+v", name, a)
			}
		}
	}
}
