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

// reply is what a server says on one of the two paths.
type reply struct {
	status int
	body   string
}

const (
	page    = "<html>Welcome</html>"
	plainOk = `{"status": "Ok"}`
)

// refusal is a refusal by PostHog itself.
func refusal(tag string) string {
	return `{"error":"` + tag + `","error_description":"sentinel","error_uri":"https://posthog.com/docs/api"}`
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

func TestEachMessageGetsTheVerdictThatItsResultGives(t *testing.T) {
	type verdict struct {
		outcome outbox.Outcome
		code    string
	}
	ok, dropped := verdict{outbox.Accepted, ""}, func(tag string) string { return `{"result":"drop","details":"` + tag + `"}` }
	later := func(code string) verdict { return verdict{outbox.Later, code} }
	tests := map[string]struct {
		result string
		want   verdict
	}{
		"ok":                            {`{"result":"ok"}`, ok},
		"warning":                       {`{"result":"warning","details":"person_processing_disabled"}`, ok},
		"retry":                         {`{"result":"retry","details":"not_persisted"}`, later(outbox.CodeServer)},
		"a quota":                       {dropped("survey_responses_over_quota"), later(outbox.CodeQuota)},
		"a rate":                        {dropped("ai_byte_rate_limited"), later(outbox.CodeRetryAfter)},
		"a deployment for imports":      {dropped("non_historical_import_drop"), later(outbox.CodeServer)},
		"a deployment for others":       {dropped("misrouted_event"), later(outbox.CodeServer)},
		"a drop with an unknown tag":    {dropped("sentinel"), later(outbox.CodeServer)},
		"a drop without one":            {`{"result":"drop"}`, later(outbox.CodeServer)},
		"an unknown word":               {`{"result":"sentinel"}`, later(outbox.CodeForeign)},
		"the word in capitals":          {`{"result":"OK"}`, later(outbox.CodeForeign)},
		"no word":                       {`{}`, later(outbox.CodeForeign)},
		"null":                          {`null`, later(outbox.CodeForeign)},
		"something that is no result":   {`"ok"`, later(outbox.CodeForeign)},
		"a word that is a number":       {`{"result":1}`, later(outbox.CodeForeign)},
		"ok with details that are none": {`{"result":"ok","details":7}`, ok},
	}
	for _, tag := range final {
		tests["never to be taken: "+tag] = struct {
			result string
			want   verdict
		}{dropped(tag), verdict{outbox.Refused, tag}}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := &script{v1: reply{200, results(`{"result":"ok"}`, test.result, `{"result":"ok"}`)}}
			a := s.sink().Send(t.Context(), three())
			if len(a.Each) != 3 || a.Each[0].Outcome != outbox.Accepted || a.Each[2].Outcome != outbox.Accepted {
				t.Fatalf("the verdicts are %+v; the neighbours were accepted", a.Each)
			}
			v := a.Each[1]
			if (verdict{v.Outcome, v.Code}) != test.want || strings.Contains(v.Reason, "sentinel") {
				t.Errorf("the verdict is %+v, want %+v in fixed words", v, test.want)
			}
			if v.Outcome == outbox.Refused && !strings.Contains(v.Reason, v.Code) {
				t.Errorf("the reason %q does not name PostHog's tag", v.Reason)
			}
			if !a.Proven || a.Memo != "" || a.RetryAfter != 7*time.Second || !slices.Equal(s.asked, []string{"v1"}) {
				t.Errorf("%+v after asking %v; PostHog has named the messages and asked for 7 s", a, s.asked)
			}
		})
	}
}

func TestWhoDoesNotNameAMessageHasNotAcceptedIt(t *testing.T) {
	uuids := []string{three().Messages[0].UUID, three().Messages[1].UUID, three().Messages[2].UUID}
	for name, body := range map[string]string{
		"no results":             `{"results":{}}`,
		"those of others":        `{"results":{"0190a3c0-0000-7000-8000-00000000000f":{"result":"ok"}}}`,
		"in capitals":            strings.ToUpper(results(`{"result":"ok"}`)[:60]) + `":{"result":"ok"}}}`,
		"without hyphens":        `{"results":{"` + strings.ReplaceAll(uuids[0], "-", "") + `":{"result":"ok"}}}`,
		"with blanks around it":  `{"results":{" ` + uuids[0] + ` ":{"result":"ok"}}}`,
		"as a list, by /batch/":  plainOk,
		"a status beside nobody": `{"status":"Ok","results":{}}`,
	} {
		s := &script{v1: reply{200, body}, batch: reply{500, ""}}
		a := s.sink().Send(t.Context(), three())
		for _, v := range append(a.Each, outbox.Verdict{Outcome: outbox.Later}) {
			if v.Outcome != outbox.Later || a.Outcome == outbox.Accepted || a.Proven {
				t.Errorf("%s: %+v, want all to wait and nothing proven", name, a)
			}
		}
	}
	s := &script{v1: reply{200, results(`{"result":"ok"}`)}}
	if a := s.sink().Send(t.Context(), three()); a.Each[0].Outcome != outbox.Accepted || a.Each[1].Outcome != outbox.Later || a.Each[2].Outcome != outbox.Later {
		t.Errorf("one of three is named: %+v", a.Each)
	}
}

func TestWhatAnAnswerToTheWholeRequestMeans(t *testing.T) {
	v1, both := []string{"v1"}, []string{"v1", "batch"}
	tests := []struct {
		name    string
		v1      reply
		batch   reply
		asked   []string
		outcome outbox.Outcome
		code    string
		proven  bool
	}{
		{"one bad among all", reply{400, refusal("request_parsing_error")}, reply{}, v1, outbox.Fewer, outbox.CodeRefused, true},
		{"too large", reply{413, refusal("payload_too_large")}, reply{}, v1, outbox.Fewer, outbox.CodeRefused, true},
		{"too large for a proxy", reply{413, "no"}, reply{}, v1, outbox.Fewer, outbox.CodeRefused, false},
		{"no key of a project", reply{401, refusal("invalid_api_token")}, reply{}, v1, outbox.NotAllowed, outbox.CodeKey, true},
		{"forbidden", reply{403, refusal("forbidden")}, reply{}, v1, outbox.NotAllowed, outbox.CodeKey, true},
		{"over quota", reply{429, refusal("billing_limit_exceeded")}, reply{}, v1, outbox.Later, outbox.CodeQuota, true},
		{"too fast", reply{429, refusal("rate_limited")}, reply{}, v1, outbox.Later, outbox.CodeRetryAfter, true},
		{"too fast for a proxy", reply{429, page}, reply{}, v1, outbox.Later, outbox.CodeRetryAfter, false},
		{"too slow", reply{408, refusal("body_read_timeout")}, reply{}, v1, outbox.Later, outbox.CodeServer, true},
		{"trouble", reply{500, refusal("internal_error")}, reply{}, v1, outbox.Later, outbox.CodeServer, true},
		{"a gateway's trouble", reply{502, page}, reply{}, v1, outbox.Later, outbox.CodeServer, false},
		{"a redirect", reply{307, ""}, reply{}, v1, outbox.Later, outbox.CodeRedirect, false},
		{"a proxy without a password", reply{407, page}, reply{}, v1, outbox.Later, outbox.CodeProxyPassword, false},
		{"a network that wants a log-in", reply{511, page}, reply{}, v1, outbox.Later, outbox.CodePortal, false},
		{"an encoding it does not know", reply{415, refusal("unsupported_encoding")}, reply{}, v1, outbox.Later, outbox.CodeForeign, true},

		{"an older PostHog", reply{404, ""}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"an older PostHog with a page", reply{404, page}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"a proxy for one path", reply{405, ""}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"a proxy that forbids the other", reply{403, "no"}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"a proxy without a page", reply{400, `{}`}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"a proxy that takes headers away", reply{400, refusal("missing_required_headers")}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"one that spoils them", reply{400, refusal("invalid_header_value")}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"a page", reply{200, page}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"no results", reply{200, plainOk}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"results that are none", reply{200, `{"results":[]}`}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"results that are null", reply{200, `{"results":null}`}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"another success", reply{202, results(`{"result":"ok"}`)}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"an endless answer", reply{200, `{"x":"` + strings.Repeat("x", 1<<20) + `",` + results(`{"result":"ok"}`)[1:]}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"nothing", reply{204, ``}, reply{200, plainOk}, both, outbox.Accepted, "", false},
		{"an older one refuses", reply{404, ""}, reply{400, `{"type":"validation_error"}`}, both, outbox.Fewer, outbox.CodeRefused, false},
		{"an older one, too large", reply{404, ""}, reply{413, ""}, both, outbox.Fewer, outbox.CodeRefused, false},
		{"an older one, no key", reply{404, ""}, reply{401, ""}, both, outbox.NotAllowed, outbox.CodeKey, false},
		{"an older one over quota", reply{404, ""}, reply{200, `{"status":"Ok","quota_limited":["events"]}`}, both, outbox.Later, outbox.CodeQuota, false},
		{"a page everywhere", reply{200, page}, reply{200, page}, both, outbox.Later, outbox.CodePortal, false},
		{"a page that refuses", reply{413, page}, reply{413, page}, both, outbox.Later, outbox.CodeForeign, false},
		{"nobody", reply{404, ""}, reply{404, ""}, both, outbox.Later, outbox.CodeForeign, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &script{v1: test.v1, batch: test.batch}
			a := s.sink().Send(t.Context(), three())
			if a.Each != nil || a.Outcome != test.outcome || a.Code != test.code || a.Proven != test.proven || strings.Contains(a.Reason, "sentinel") {
				t.Errorf("the answer is %+v, want outcome %d, code %q and proven %v", a, test.outcome, test.code, test.proven)
			}
			if !slices.Equal(s.asked, test.asked) {
				t.Errorf("it asked %v, want %v", s.asked, test.asked)
			}
			if memo := test.outcome == outbox.Accepted; memo != (a.Memo != "") || (a.RetryAfter > 0) != (a.Outcome == outbox.Later) {
				t.Errorf("the answer is %+v; only an acceptance by /batch/ is remembered, and only a sender that shall come later waits", a)
			}
			if a.Outcome != outbox.Accepted && a.Reason == "" {
				t.Errorf("there is no reason: %+v", a)
			}
		})
	}
}

func TestAPostHogWithoutCaptureV1IsAskedForItOnce(t *testing.T) {
	s := &script{v1: reply{404, ""}, batch: reply{200, plainOk}}
	sink := s.sink()
	memo := ""
	for range 3 {
		memo = sink.Send(t.Context(), three()).Memo
	}
	if a := s.sink().Send(t.Context(), outbox.Request{Memo: memo}); a.Memo != memo || a.Outcome != outbox.Accepted {
		t.Errorf("with the memo of a week ago: %+v", a)
	}
	if want := []string{"v1", "batch", "batch", "batch", "batch"}; !slices.Equal(s.asked, want) {
		t.Errorf("it asked %v, want %v: each question in vain is a round trip", s.asked, want)
	}

	s = &script{v1: reply{404, ""}, batch: reply{400, "no"}}
	sink = s.sink()
	sink.Send(t.Context(), three())
	sink.Send(t.Context(), three())
	if want := []string{"v1", "batch", "batch"}; !slices.Equal(s.asked, want) {
		t.Errorf("while it looks for a bad message it asked %v, want %v", s.asked, want)
	}

	s = &script{v1: reply{200, page}, batch: reply{200, page}}
	sink = s.sink()
	sink.Send(t.Context(), three())
	s.v1 = reply{200, results(`{"result":"ok"}`)}
	if a := sink.Send(t.Context(), three()); a.Each == nil || a.Each[0].Outcome != outbox.Accepted {
		t.Errorf("behind the portal's page is a PostHog with capture v1: %+v", a)
	}
}

func TestASilentServerIsAskedForFewer(t *testing.T) {
	wait := roundTrip(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if a := New(Config{Key: "k", Transport: wait}).Send(ctx, three()); a.Outcome != outbox.Fewer || a.Code != outbox.CodeTimeout || a.Proven {
		t.Errorf("the answer is %+v, want fewer and a timeout", a)
	}
}

func TestOnlyTheAcknowledgementOfBatchCounts(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		code   string // "" for accepted
	}{
		{"Ok", 200, `{"status": "Ok"}`, ""},
		{"ok", 200, `{"status":"ok"}`, ""},
		{"1, as older versions say", 200, `{"status": 1}`, ""},
		{"Ok with more fields", 200, `{"status": "Ok", "x": []}`, ""},
		{"quota_limited of any shape", 200, `{"status": "Ok", "quota_limited": false}`, outbox.CodeQuota},
		{"another status", 200, `{"status": "queued"}`, outbox.CodeForeign},
		{"0", 200, `{"status": 0}`, outbox.CodeForeign},
		{"true", 200, `{"status": true}`, outbox.CodeForeign},
		{"no status", 200, `{}`, outbox.CodeForeign},
		{"a JSON array", 200, `[1]`, outbox.CodePortal},
		{"a JSON string", 200, `"Ok"`, outbox.CodePortal},
		{"no body", 200, ``, outbox.CodePortal},
		{"cut JSON", 200, `{"status": "O`, outbox.CodePortal},
		{"two documents", 200, `{"status": "Ok"}{}`, outbox.CodePortal},
		{"204", 204, ``, outbox.CodePortal},
		{"202", 202, `{"status": "Ok"}`, outbox.CodeForeign},
		{"422", 422, ``, outbox.CodeForeign},
		{"429", 429, ``, outbox.CodeRetryAfter},
	} {
		s := &script{batch: reply{test.status, test.body}}
		a := s.sink().Send(t.Context(), outbox.Request{Memo: batchMemo})
		if a.Code != test.code || (a.Outcome == outbox.Accepted) != (test.code == "") {
			t.Errorf("%s: the answer is %+v, want code %q", test.name, a, test.code)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for _, body := range []string{plainOk, `{"status":"Ok","quota_limited":[]}`, page, ``, `{"status":`, `{"STATUS":"ok"}`,
		results(`{"result":"ok"}`), `{"results":{"":{}}}`, refusal("x"), `{"error_uri":1,"results":7}`} {
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
	tests := []struct {
		name, host, key string
		code, says      string
	}{
		{"no key", "", " \t", outbox.CodeNoKey, "no PostHog key"},
		{"a key of two lines", "", "phc_hush\nphc_hush", outbox.CodeKey, "no key has"},
		{"a key in other letters", "", "phc_ключ_hush", outbox.CodeKey, "no key has"},
		{"no scheme", "us.i.posthog.com", "k", outbox.CodeAddress, DefaultHost},
		{"a port alone", "127.0.0.1:9", "k", outbox.CodeAddress, DefaultHost},
		{"another scheme", "ftp://us.i.posthog.com", "k", outbox.CodeAddress, DefaultHost},
		{"a password", "https://hush:hush@us.i.posthog.com", "k", outbox.CodeAddress, DefaultHost},
		{"a query", "https://us.i.posthog.com?x=hush", "k", outbox.CodeAddress, DefaultHost},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sink := New(Config{Host: test.host, Key: test.key, Transport: roundTrip(nil)}) // a request would panic
			var unusable *outbox.Unusable
			err := sink.Check()
			if !errors.As(err, &unusable) || unusable.Code != test.code || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%v, want %s and %q", err, test.code, test.says)
			}
			for _, memo := range []string{"", batchMemo} {
				if a := sink.Send(t.Context(), outbox.Request{Memo: memo}); a.Outcome != outbox.Later || a.Code != test.code {
					t.Errorf("the answer is %+v", a)
				}
			}
		})
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
