package outboxtest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

const (
	v1    = "/i/v1/analytics/events"
	batch = "/batch/"
	noon  = "2026-11-23T12:00:00.000Z"
	later = "2026-11-23T12:00:01.000Z"
	early = "2026-11-23T11:00:00.000Z"

	windowsReset = syscall.Errno(10054) // WSAECONNRESET
)

// id makes a uuid that a reader can tell from others by its number.
func id(n int) string { return fmt.Sprintf("0190a3c0-0000-7000-8000-%012d", n) }

// event is an event of a principal, as both protocols understand it.
func event(n int, who, at string) string {
	return fmt.Sprintf(`{"uuid":%q,"timestamp":%q,"distinct_id":%q,"event":"ran","options":{"disable_skew_correction":true},"properties":{"n":%d}}`, id(n), at, who, n)
}

// anonymous is an event of an anon id.
func anonymous(n int, who, at string) string {
	return strings.Replace(event(n, who, at), `"options":{`, `"options":{"process_person_profile":false,`, 1)
}

func alias(n int, anon, principal, at string) string {
	return strings.NewReplacer(`"ran"`, `"$create_alias"`, `{"n"`, fmt.Sprintf(`{"alias":%q,"n"`, anon)).Replace(event(n, principal, at))
}

func body(messages ...string) string {
	return `{"api_key":"phc_test","created_at":"` + noon + `","batch":[` + strings.Join(messages, ",") + `]}`
}

// answer is what a client gets to see.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func (a answer) result(n int) string {
	var said struct {
		Results map[string]struct{ Result, Details string }
	}
	json.Unmarshal([]byte(a.body), &said)
	return strings.TrimSuffix(said.Results[id(n)].Result+":"+said.Results[id(n)].Details, ":")
}

// send posts a body and returns whatever comes of it.
func send(ctx context.Context, s *outboxtest.Server, path, body string, header ...string) (a answer) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+path, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer phc_test", "Content-Type": "application/json", "PostHog-Sdk-Info": "test/1", "PostHog-Attempt": "1",
		"PostHog-Request-Id": id(99), "PostHog-Request-Timestamp": noon,
	} {
		request.Header.Set(name, value)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text), err}
}

// post sends messages that have to be accepted, by both protocols in turn.
func post(t *testing.T, s *outboxtest.Server, messages ...string) {
	t.Helper()
	if a := send(t.Context(), s, []string{v1, batch}[len(s.Requests())%2], body(messages...)); a.status != http.StatusOK || a.err != nil {
		t.Fatalf("answered %d %q, %v; this test needs it accepted", a.status, a.body, a.err)
	}
}

// wantViolations compares the violations with parts of the sentences that are expected.
func wantViolations(t *testing.T, s *outboxtest.Server, name string, want ...string) {
	t.Helper()
	if got := s.Violations(); !slices.EqualFunc(got, want, strings.Contains) {
		t.Errorf("%s: violations:\n  %s\nwant sentences with:\n  %s", name, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func uuids(commits []outboxtest.Commit) string {
	var all []string
	for _, c := range commits {
		all = append(all, strings.TrimLeft(c.UUID[24:], "0"))
	}
	return strings.Join(all, " ")
}

func gzipped(text string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	io.WriteString(w, text)
	w.Close()
	return out.String()
}

func TestARequestIsRefusedAsPostHogRefusesIt(t *testing.T) {
	good := event(1, "ada", noon)
	large := strings.Repeat(" ", 10<<20+1) // which the server reads whole
	for name, test := range map[string]struct {
		path, body string
		header     []string
		status     int
		reason     string // "" for an accepted one
	}{
		"a good one":                   {v1, body(good), nil, 200, ""},
		"gzip":                         {v1, gzipped(body(good)), []string{"Content-Encoding", "gzip"}, 200, ""},
		"broken gzip":                  {v1, gzipped(body(good))[:40], []string{"Content-Encoding", "gzip"}, 400, "request_decoding_error"},
		"another encoding":             {v1, body(good), []string{"Content-Encoding", "zstd"}, 415, "unsupported_encoding"},
		"no key":                       {v1, body(good), []string{"Authorization", ""}, 401, "invalid_api_token"},
		"a personal key":               {v1, body(good), []string{"Authorization", "Bearer phx_1"}, 401, "invalid_api_token"},
		"another scheme":               {v1, body(good), []string{"Authorization", "Basic phc_test"}, 400, "invalid_header_value"},
		"no library":                   {v1, body(good), []string{"PostHog-Sdk-Info", ""}, 400, "missing_required_headers"},
		"no request's time":            {v1, body(good), []string{"PostHog-Request-Timestamp", "noon"}, 400, "invalid_header_value"},
		"half a body":                  {v1, body(good)[:60], nil, 400, "request_parsing_error"},
		"no created_at":                {v1, `{"batch":[` + good + `]}`, nil, 400, "request_parsing_error"},
		"no events":                    {v1, body(), nil, 400, "empty_batch"},
		"a number for a name":          {v1, strings.Replace(body(good), `"ran"`, `1`, 1), nil, 400, "request_parsing_error"},
		"no uuid":                      {v1, strings.Replace(body(good), id(1), "x", 1), nil, 400, "invalid_event_uuid"},
		"one uuid twice":               {v1, body(good, good), nil, 400, "duplicate_event_uuid"},
		"more than 10 MB":              {v1, large, nil, 413, "payload_too_large"},
		"the same unpacked":            {v1, gzipped(large), []string{"Content-Encoding", "gzip"}, 413, "payload_too_large"},
		"by /batch/":                   {batch, body(good), nil, 200, ""},
		"/batch/ looks at first bytes": {batch, gzipped(body(good)), nil, 200, ""},
		"/batch/ without a key":        {batch, `{"batch":[` + good + `]}`, nil, 401, "api_key"},
		"/batch/ without a uuid":       {batch, strings.Replace(body(good), id(1), "", 1), nil, 400, "invalid_event_uuid"},
		"another path":                 {"/capture/", body(good), nil, 404, "nothing at"},
	} {
		s := outboxtest.Start(t)
		a := send(t.Context(), s, test.path, test.body, test.header...)
		if a.status != test.status || (test.reason == "") != (len(s.Commits()) == 1) || !strings.Contains(s.Requests()[0].Refusal, test.reason) {
			t.Errorf("%s: answered %d %s and kept %d, want %d and %s", name, a.status, a.body, len(s.Commits()), test.status, test.reason)
		}
		if byV1 := strings.Contains(a.body, `"error":"`+test.reason+`"`) && strings.Contains(a.body, "error_uri"); byV1 != (test.path == v1 && a.status != 200) {
			t.Errorf("%s: the body is %s; only capture v1 refuses in its words", name, a.body)
		}
	}
	s := outboxtest.Start(t)
	s.SetWithoutV1(true)
	if a := send(t.Context(), s, v1, body(good)); a.status != 404 || strings.Contains(a.body, "error_uri") {
		t.Errorf("an older PostHog answers %d %s by capture v1, want 404", a.status, a.body)
	}
}

func TestCaptureV1DropsABadEventAloneAndBatchRefusesAll(t *testing.T) {
	good := event(1, "ada", noon)
	change := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for tag, bad := range map[string]string{
		"missing_event_name":         change(`"ran"`, `""`),
		"event_name_too_long":        change(`ran`, strings.Repeat("r", 201)),
		"missing_distinct_id":        change(`"ada"`, `" "`),
		"distinct_id_too_large":      change(`ada`, strings.Repeat("a", 201)),
		"invalid_event_timestamp":    change(noon, "yesterday"),
		"malformed_event_properties": change(`{"n":1}`, `[]`),
		"invalid_options":            change(`correction":true`, `correction":"yes"`),
		"event_too_big":              change(`{"n":1}`, `{"n":"`+strings.Repeat(`\"`, 300_000)+`"}`),
	} {
		s := outboxtest.Start(t)
		a := send(t.Context(), s, v1, body(event(2, "ada", noon), bad, event(3, "ada", noon)))
		if a.result(1) != "drop:"+tag || a.result(2) != "ok" || a.result(3) != "ok" || uuids(s.Commits()) != "2 3" {
			t.Errorf("answered %d %s and kept %s, want message 1 dropped for %s", a.status, a.body, uuids(s.Commits()), tag)
		}
		s = outboxtest.Start(t)
		a = send(t.Context(), s, batch, body(event(2, "ada", noon), bad))
		want, kept := 400, ""
		switch tag {
		case "event_too_big":
			want, kept = 413, "2" // PostHog has kept what came before
		case "invalid_options":
			want, kept = 200, "2 1" // which /batch/ does not know
		}
		if a.status != want || uuids(s.Commits()) != kept {
			t.Errorf("%s by /batch/: answered %d %s and kept %q, want %d and %q", tag, a.status, a.body, uuids(s.Commits()), want, kept)
		}
	}
}

func TestRepeatsAreFoldedByUUIDEventIDAndDay(t *testing.T) {
	base := event(1, "ada", noon)
	for second, events := range map[string]int{
		base: 1,
		event(1, "ada", "2026-11-23T23:59:59.999Z"): 1,
		event(1, "ada", "2026-11-24T00:00:00Z"):     2,
		event(1, "bob", noon):                       2,
		event(2, "ada", noon):                       2,
		strings.Replace(base, "ran", "failed", 1):   2,
	} {
		s := outboxtest.Start(t)
		post(t, s, base)
		post(t, s, second)
		if got := len(s.Events()); got != events || len(s.Commits()) != 2 || s.Commits()[1].Repeat != (events == 1) {
			t.Errorf("%d events after %s, want %d", got, second, events)
		}
		if changed := second != base && strings.Contains(second, id(1)); changed != strings.Contains(fmt.Sprint(s.Violations()), "with other content") {
			t.Errorf("%s: the violations are %v", second, s.Violations())
		}
	}
}

func TestRules(t *testing.T) {
	off := func(message string) string {
		return strings.Replace(message, `"options":{`, `"options":{"process_person_profile":false,`, 1)
	}
	for name, test := range map[string]struct {
		requests []string // each is the messages of one
		want     []string // parts of the violations
	}{
		"two logins break no rule": {[]string{
			anonymous(1, "x1", early) + "," + alias(2, "x1", "ada", noon) + "," + event(3, "ada", noon),
			event(4, "ada", noon) + "," + alias(5, "x2", "ada", later) + "," + event(6, "ada", later)}, nil},
		"a repeat is no second alias":         {[]string{alias(1, "x1", "ada", noon), alias(1, "x1", "ada", noon)}, nil},
		"an event before its alias":           {[]string{event(1, "ada", noon), alias(2, "x1", "ada", noon)}, []string{"of ada (request 1, message 1) was kept before the alias of x1"}},
		"two principals":                      {[]string{alias(1, "x1", "ada", noon), alias(2, "x1", "bob", later)}, []string{"x1 was aliased to ada in request 1 and again, to bob, in request 2"}},
		"a principal that becomes an anon id": {[]string{alias(1, "x1", "ada", noon), alias(2, "ada", "bob", later)}, []string{"ada is a principal, and request 2 aliased it to bob"}},
		"an anon id that becomes a principal": {[]string{alias(1, "x1", "ada", noon), alias(2, "x2", "x1", later)}, []string{"x1 is a principal, and request 1 aliased it to ada"}},
		"an alias with its profile off":       {[]string{off(alias(1, "x1", "ada", noon))}, []string{`drops the alias of "x1" to "ada"`}},
		"an alias of an id to itself":         {[]string{alias(1, "ada", "ada", noon)}, []string{"drops the alias"}},
		"a profile that is on, before":        {[]string{event(1, "x1", early), alias(2, "x1", "ada", noon)}, []string{"of x1 (request 1, message 1) has its person profile switched on"}},
		"a profile that is on, after":         {[]string{alias(1, "x1", "ada", early), event(2, "x1", noon)}, []string{"switched on, but its owner is an anon id"}},
		"a principal's profile off":           {[]string{alias(1, "x1", "ada", early), anonymous(2, "ada", noon)}, []string{"switched off, but its owner is a principal"}},
		"a time that PostHog may move, by v1": {[]string{strings.Replace(event(1, "ada", noon), `correction":true`, `correction":false`, 1)}, []string{"lacks disable_skew_correction"}},
		"a repeat with its bytes in disorder": {[]string{event(1, "ada", noon), strings.Replace(event(1, "ada", noon), `"event"`, ` "event"`, 1)}, []string{"with other content"}},
	} {
		s := outboxtest.Start(t)
		for _, messages := range test.requests {
			post(t, s, messages)
		}
		wantViolations(t, s, name, test.want...)
	}
}

func TestEveryFaultLooksRightToItsClientAndCommitsOnlyWhenTold(t *testing.T) {
	for _, f := range append(outboxtest.AllFaults(), "418:retry-after=3", "201") {
		for _, path := range []string{v1, batch} {
			t.Run(string(f)+path, func(t *testing.T) {
				t.Parallel()
				s := outboxtest.Start(t)
				s.SetFaults(f)
				ctx, leave := context.WithTimeout(t.Context(), time.Minute)
				defer leave()
				if f.Mode() == "hang" {
					s.Watch(func(what any) {
						if _, hangs := what.(outboxtest.Request); hangs {
							leave()
						}
					})
				}
				a := send(ctx, s, path, body(event(1, "ada", noon)))
				var status int
				fmt.Sscan(strings.TrimPrefix(f.Mode(), "page-"), &status)
				quota := f.Mode() == "quota-limited"
				switch {
				case quota && (path == v1 && (a.status != 429 || !strings.Contains(a.body, "billing_limit_exceeded")) || path == batch && !strings.Contains(a.body, "quota_limited")),
					strings.HasPrefix(f.Mode(), "p") && !strings.Contains(a.body, "<form"),
					status >= 400 && status != 404 && a.body[0] != '<' && (path == v1) != strings.Contains(a.body, "error_uri"),
					f.Mode() == "hang" && !errors.Is(a.err, context.Canceled),
					f.Mode() == "short-body" && !errors.Is(a.err, io.ErrUnexpectedEOF),
					status == 0 && a.err == nil && !quota && f.Mode() != "portal", status > 0 && a.status != status,
					strings.HasPrefix(f.Mode(), "reset-a") && !errors.Is(a.err, syscall.ECONNRESET) && !errors.Is(a.err, windowsReset),
					status == 418 && a.header.Get("Retry-After") != "3", status == 307 && a.header.Get("Location") == "":
					t.Errorf("the client got %d %q, %v", a.status, a.body, a.err)
				}
				if kept := strings.HasPrefix(string(f), "commit+"); kept != (len(s.Commits()) == 1) {
					t.Errorf("%d messages were kept", len(s.Commits()))
				}
				if r := s.Requests()[0]; r.Fault != f || r.Status != a.status && a.err == nil {
					t.Errorf("the log says %+v", r)
				}
				s.SetFaults()
				post(t, s, event(1, "ada", noon))
				if n := len(s.Events()); n != 1 {
					t.Errorf("%d events after a repeat, want 1", n)
				}
				wantViolations(t, s, "afterwards")
			})
		}
	}
}

func TestWrongFaultsAreRefusedWithTheReason(t *testing.T) {
	for text, reason := range map[string]string{
		"hung": "no mode", "commit+": "no mode", "200": "no mode", "600": "no mode", "0503": "no mode", "page-9": "no mode", "503:": "retry-after", "503:retry-after=": "retry-after",
		"hang:retry-after=1": "retry-after", "202:retry-after=3": "retry-after", "503:retry-after=1\r\nX:1": "retry-after", "commit+page-400": "does not get",
	} {
		if err := outboxtest.Fault(text).Check(); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v; want an error that says %q", text, err, reason)
		}
	}
}

func TestAFaultIsForADeliveryNotForARequest(t *testing.T) {
	s := outboxtest.Start(t)
	s.SetFault("503", "portal", "502")
	for i, want := range []struct {
		path   string
		status int
	}{{v1, 200}, {batch, 200}, {v1, 502}, {v1, 503}, {v1, 503}} {
		if a := send(t.Context(), s, want.path, body(event(i, "ada", noon))); a.status != want.status || len(s.Commits()) != 0 {
			t.Errorf("request %d: answered %d, want %d: a portal stands before both paths", i+1, a.status, want.status)
		}
	}
}

func TestARequestCanBeHeldAndOverlapsAreReported(t *testing.T) {
	for _, test := range []struct {
		at     outboxtest.Point
		kept   int
		killed bool // its client, and the next one does not overlap with it
		want   []string
	}{
		{outboxtest.AfterRead, 0, true, nil},
		{outboxtest.AfterCommit, 1, true, nil},
		{outboxtest.BeforeAnswer, 1, true, nil},
		{outboxtest.BeforeAnswer, 1, false, []string{"request 2 began while request 1 was still being served"}},
	} {
		t.Run(fmt.Sprint(test.at, test.killed), func(t *testing.T) {
			t.Parallel()
			s := outboxtest.Start(t)
			pause := s.PauseNext(test.at)
			ctx, kill := context.WithCancel(t.Context())
			defer kill()
			var clients sync.WaitGroup
			clients.Go(func() { send(ctx, s, v1, body(event(1, "ada", noon))) })
			<-pause.Reached()
			if len(s.Commits()) != test.kept {
				t.Errorf("%d messages are kept, want %d", len(s.Commits()), test.kept)
			}
			if test.killed {
				kill()
				clients.Wait()
			}
			post(t, s, event(2, "ada", noon))
			pause.Release()
			if err := s.AwaitEvents(t.Context(), 2); err != nil {
				t.Fatal(err) // a body that was read is kept even when its client was killed
			}
			clients.Wait()
			s.Close()
			wantViolations(t, s, "afterwards", test.want...)
		})
	}
}

func TestAServerComesBackOnTheSameAddressAndRemembers(t *testing.T) {
	s := outboxtest.Start(t)
	s.PauseNext(outboxtest.BeforeAnswer) // Close lets go of it
	address := s.URL()
	var held sync.WaitGroup
	held.Go(func() { send(t.Context(), s, v1, body(event(1, "ada", noon))) })
	s.AwaitEvents(t.Context(), 1)
	s.Close()
	s.Close()
	held.Wait()
	if a := send(t.Context(), s, v1, body(event(2, "ada", noon))); a.err == nil {
		t.Fatalf("a closed server answered %d", a.status)
	}
	if err := s.ListenTLS(strings.TrimPrefix(address, "http://")); err != nil || s.URL() != strings.Replace(address, "http", "https", 1) {
		t.Fatalf("it moved from %s to %s, %v", address, s.URL(), err)
	}
	if a := send(t.Context(), s, v1, body(event(2, "ada", noon))); a.err == nil || !strings.Contains(string(s.CAPEM()), "BEGIN CERTIFICATE") {
		t.Errorf("a stranger was answered with %d", a.status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.AwaitEvents(ctx, 2); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 events from 1 requests") {
		t.Errorf("waiting for too much gave %v", err)
	}
}
