package outboxtest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
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
)

// id makes a uuid that a reader can tell from others by its number.
func id(n int) string { return fmt.Sprintf("0190a3c0-0000-7000-8000-%012d", n) }

// event is an event of a principal, as both protocols understand it.
func event(n int, who, at string) string {
	return fmt.Sprintf(`{"uuid":%q,"timestamp":%q,"distinct_id":%q,"event":"ran",`+
		`"options":{"disable_skew_correction":true},"properties":{"n":%d}}`, id(n), at, who, n)
}

// huge has more bytes than a record of PostHog's queue takes, where quotes count twice.
var huge = strings.Replace(event(1, "ada", noon), `{"n":1}`, `{"n":"`+strings.Repeat(`\"`, 300_000)+`"}`, 1)

// personless switches a message's person profile off, as events of an anon id have it.
func personless(message string) string {
	return strings.Replace(message, `"options":{`, `"options":{"process_person_profile":false,`, 1)
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

// send posts a body and returns whatever comes of it.
func send(ctx context.Context, s *outboxtest.Server, path, body string, header ...string) (a answer) {
	request, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+path, strings.NewReader(body)) // its address is right
	request.Header = http.Header{
		"Authorization": {"Bearer phc_test"}, "Content-Type": {"application/json"}, "Posthog-Sdk-Info": {"test/1"}, "Posthog-Attempt": {"1"},
		"Posthog-Request-Id": {id(99)}, "Posthog-Request-Timestamp": {noon},
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
		"/batch/ and a bad event":      {batch, body(good, strings.Replace(good, "ran", "", 1)), nil, 400, "message 2: missing_event_name"},
		"/batch/ and a large event":    {batch, body(good, huge), nil, 413, "message 2: event_too_big"},
		"/batch/ knows no options":     {batch, body(strings.Replace(good, `correction":true`, `correction":"yes"`, 1)), nil, 200, ""},
		"another path":                 {"/capture/", body(good), nil, 404, "nothing at"},
		"an older PostHog's capture":   {v1, body(good), nil, 404, "nothing at"},
	} {
		s := outboxtest.Start(t)
		s.SetWithoutV1(test.status == 404)
		a := send(t.Context(), s, test.path, test.body, test.header...)
		// Only capture v1 refuses in its words.
		byV1 := strings.Contains(a.body, `"error":"`+test.reason+`"`) && strings.Contains(a.body, "error_uri")
		keeps := test.reason == "" || strings.HasSuffix(test.reason, "event_too_big") // then what came before
		if a.status != test.status || keeps != (len(s.Commits()) == 1) || !strings.Contains(s.Requests()[0].Refusal, test.reason) ||
			byV1 != (test.path == v1 && test.status != 200 && test.status != 404) {
			t.Errorf("%s: answered %d %s and kept %d, want %d and %s", name, a.status, a.body, len(s.Commits()), test.status, test.reason)
		}
	}
}

func TestCaptureV1DropsABadEventAlone(t *testing.T) {
	change := func(old, new string) string { return strings.Replace(event(1, "ada", noon), old, new, 1) }
	for tag, bad := range map[string]string{
		"missing_event_name":         change(`"ran"`, `""`),
		"event_name_too_long":        change(`ran`, strings.Repeat("r", 201)),
		"missing_distinct_id":        change(`"ada"`, `" "`),
		"distinct_id_too_large":      change(`ada`, strings.Repeat("a", 201)),
		"invalid_event_timestamp":    change(noon, "yesterday"),
		"malformed_event_properties": change(`{"n":1}`, `[]`),
		"invalid_options":            change(`correction":true`, `correction":"yes"`),
		"event_too_big":              huge,
	} {
		s := outboxtest.Start(t)
		a := send(t.Context(), s, v1, body(event(2, "ada", noon), bad, event(3, "ada", noon)))
		dropped := fmt.Sprintf(`%q:{"details":%q,"result":"drop"}`, id(1), tag)
		if a.status != 200 || !strings.Contains(a.body, dropped) || strings.Count(a.body, `"ok"`) != 2 || len(s.Commits()) != 2 {
			t.Errorf("answered %d %s and kept %d, want message 1 dropped for %s", a.status, a.body, len(s.Commits()), tag)
		}
	}
}

func TestRepeatsAreFoldedAndWhatASenderMustNeverDoIsAViolation(t *testing.T) {
	ada, login := event(1, "ada", noon), alias(1, "x1", "ada", noon)
	twoLogins := []string{
		personless(event(1, "x1", early)) + "," + alias(2, "x1", "ada", noon) + "," + event(3, "ada", noon),
		event(4, "ada", noon) + "," + alias(5, "x2", "ada", later) + "," + event(6, "ada", later),
	}
	movable := strings.Replace(ada, `correction":true`, `correction":false`, 1)
	const other = "with other content"
	for name, test := range map[string]struct {
		requests []string // each is the messages of one
		events   int
		want     string // part of the violation, "" for none
	}{
		"two logins break no rule":            {twoLogins, 6, ""},
		"a repeat":                            {[]string{ada, ada}, 1, ""},
		"a repeat is no second alias":         {[]string{login, login}, 1, ""},
		"a repeat on the same day":            {[]string{ada, event(1, "ada", "2026-11-23T23:59:59.999Z")}, 1, other},
		"a repeat with its bytes in disorder": {[]string{ada, strings.Replace(ada, `"event"`, ` "event"`, 1)}, 1, other},
		"a repeat on another day":             {[]string{ada, event(1, "ada", "2026-11-24T00:00:00Z")}, 2, other},
		"a repeat of another's":               {[]string{ada, event(1, "bob", noon)}, 2, other},
		"a repeat by another name":            {[]string{ada, strings.Replace(ada, "ran", "failed", 1)}, 2, other},

		"an event before its alias": {[]string{ada, alias(2, "x1", "ada", noon)}, 2,
			"of ada (request 1, message 1) was kept before the alias of x1"},
		"two principals": {[]string{login, alias(2, "x1", "bob", later)}, 2,
			"x1 was aliased to ada in request 1 and again, to bob, in request 2"},
		"a principal that becomes an anon id": {[]string{login, alias(2, "ada", "bob", later)}, 2,
			"ada is a principal, and request 2 aliased it to bob"},
		"an anon id that becomes a principal": {[]string{login, alias(2, "x2", "x1", later)}, 2,
			"x1 is a principal, and request 1 aliased it to ada"},
		"a profile that is on, before": {[]string{event(1, "x1", early), alias(2, "x1", "ada", noon)}, 2,
			"of x1 (request 1, message 1) has its person profile switched on"},
		"a profile that is on, after":   {[]string{login, event(2, "x1", noon)}, 2, "switched on, but its owner is an anon id"},
		"a principal's profile off":     {[]string{login, personless(event(2, "ada", noon))}, 2, "off, but its owner is a principal"},
		"an alias with its profile off": {[]string{personless(login)}, 1, `drops the alias of "x1" to "ada"`},
		"an alias of an id to itself":   {[]string{alias(1, "ada", "ada", noon)}, 1, "drops the alias"},
		"a time that PostHog may move":  {[]string{movable}, 1, "lacks disable_skew_correction"},
	} {
		s := outboxtest.Start(t)
		for i, messages := range test.requests {
			send(t.Context(), s, []string{v1, batch}[i%2], body(messages))
		}
		got := strings.Join(s.Violations(), "\n")
		isOther := (got == "") != (test.want == "") || !strings.Contains(got, test.want) || strings.Contains(got, "\n")
		if len(s.Events()) != test.events || isOther {
			t.Errorf("%s: %d events and the violations %q, want %d and one with %q", name, len(s.Events()), got, test.events, test.want)
		}
	}
}

// A fault is for a delivery, not for a request: a portal stands before both paths.
func TestEveryFaultLooksRightToItsClientAndCommitsOnlyWhenTold(t *testing.T) {
	for _, f := range append(outboxtest.AllFaults(), "418:retry-after=3", "201") {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			s := outboxtest.Start(t)
			s.SetFault("503", f)
			for i, path := range []string{v1, batch} {
				ctx, leave := context.WithTimeout(t.Context(), time.Minute)
				defer leave()
				s.Watch(func(what any) {
					if _, read := what.(outboxtest.Request); read && f.Mode() == "hang" {
						leave()
					}
				})
				a := send(ctx, s, path, body(event(i, "ada", noon)))
				if r := s.Requests()[i]; !looksLike(f.Mode(), path == v1, a) || r.Fault != f || r.Status != a.status && a.err == nil {
					t.Errorf("at %s the client got %d %q, %v, and the log says %+v", path, a.status, a.body, a.err, r)
				}
			}
			if n := len(s.Commits()); n != 2*strings.Count(string(f), "commit+") {
				t.Errorf("%d messages were kept", n)
			}
			for _, path := range []string{batch, v1, v1} {
				if a := send(t.Context(), s, path, body(event(1, "ada", noon))); a.status != 503 {
					t.Errorf("the next delivery was answered with %d, want the next fault", a.status)
				}
			}
		})
	}
}

// looksLike reports whether an answer is what a fault of this mode promises.
func looksLike(mode string, byV1 bool, a answer) bool {
	switch mode {
	case "hang":
		return errors.Is(a.err, context.Canceled)
	case "short-body":
		return errors.Is(a.err, io.ErrUnexpectedEOF)
	case "reset-in-body", "close":
		return a.err != nil
	case "reset-after-body":
		return a.err != nil && !errors.Is(a.err, io.EOF)
	case "portal", "page-400", "page-413":
		return strings.Contains(a.body, "<form") && (mode == fmt.Sprint("page-", a.status) || mode == "portal" && a.status == 200)
	case "quota-limited":
		return byV1 && a.status == 429 && strings.Contains(a.body, "billing_limit_exceeded") || !byV1 && strings.Contains(a.body, "quota_limited")
	}
	isPostHogs := byV1 && a.status >= 400 && a.status != 404
	return mode == fmt.Sprint(a.status) && strings.Contains(a.body, "error_uri") == isPostHogs &&
		(mode != "418" || a.header.Get("Retry-After") == "3") && (mode != "307" || a.header.Get("Location") != "")
}

func TestWrongFaultsAreRefusedWithTheReason(t *testing.T) {
	for reason, faults := range map[string][]string{
		"no mode":      {"hung", "commit+", "200", "600", "0503", "page-9"},
		"retry-after":  {"503:", "503:retry-after=", "hang:retry-after=1", "202:retry-after=3", "503:retry-after=1\r\nX:1"},
		"does not get": {"commit+page-400", "commit+reset-in-body"},
	} {
		for _, text := range faults {
			if err := outboxtest.Fault(text).Check(); err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("%q: %v; want an error that says %q", text, err, reason)
			}
		}
	}
}

func TestARequestCanBeHeldAndOverlapsAreReported(t *testing.T) {
	for killed, want := range map[bool][]string{
		false: {"request 2 began while request 1 was still being served"},
		true:  nil, // the next one does not overlap with one whose client is gone
	} {
		t.Run(fmt.Sprint(killed), func(t *testing.T) {
			t.Parallel()
			s := outboxtest.Start(t)
			pause := s.PauseNext()
			ctx, kill := context.WithCancel(t.Context())
			defer kill()
			var clients sync.WaitGroup
			clients.Go(func() { send(ctx, s, v1, body(event(1, "ada", noon))) })
			<-pause.Reached()
			if killed {
				kill()
				clients.Wait()
			}
			send(t.Context(), s, v1, body(event(2, "ada", noon)))
			pause.Release()
			clients.Wait()
			s.Close()
			if got := s.Violations(); len(s.Events()) != 2 || !slices.Equal(got, want) {
				t.Errorf("%d events were kept, want both; the violations are %q, want %q", len(s.Events()), got, want)
			}
		})
	}
}

func TestAServerThatListensAgainRemembers(t *testing.T) {
	s := outboxtest.Start(t)
	s.PauseNext() // Close lets go of it
	var held sync.WaitGroup
	held.Go(func() { send(t.Context(), s, v1, body(event(1, "ada", noon))) })
	s.AwaitEvents(t.Context(), 1)
	s.Close()
	s.Close()
	held.Wait()
	if a := send(t.Context(), s, v1, body(event(2, "ada", noon))); a.err == nil {
		t.Fatalf("a closed server answered %d", a.status)
	}
	if err := s.ListenTLS("127.0.0.1:0"); err != nil {
		t.Fatal(err)
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
