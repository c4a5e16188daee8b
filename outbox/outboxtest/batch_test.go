package outboxtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestBatchesAreJudgedAsPostHogDoes(t *testing.T) {
	good := event(1, "ada", noon)
	change := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	tests := []struct {
		name   string
		body   string
		status int
		reason string // a part of it
	}{
		{"a batch is accepted", batch(good), 200, ""},
		{"gzip is known by its first bytes", gzipped(batch(good)), 200, ""},
		{"token is another name for api_key", `{"token":"phc_test","batch":[` + good + `]}`, 200, ""},
		{"a key may stand in the events alone", `{"batch":[` + change(`{`, `{"api_key":"phc_test",`) + `]}`, 200, ""},
		{"a key may stand in the events' properties alone", `{"batch":[` + change(`{"command_name"`, `{"token":"phc_test","command_name"`) + `]}`, 200, ""},
		{"white space around a key is cut off", `{"api_key":" phc_test\n","batch":[` + good + `]}`, 200, ""},
		{"null for a uuid is none", batch(change(`"`+id(1)+`"`, `null`)), 200, ""},
		{"an event without properties is fine", batch(`{"event":"e","distinct_id":"ada"}`), 200, ""},
		{"a number is a distinct id", batch(change(`"ada"`, `23`)), 200, ""},
		{"$distinct_id is another name for distinct_id", batch(change(`"distinct_id"`, `"$distinct_id"`)), 200, ""},
		{"a timestamp of another form is accepted", batch(change(noon, "yesterday")), 200, ""},

		{"an empty body is refused", ``, 400, "not JSON"},
		{"half a body is refused", batch(good)[:40], 400, "not JSON"},
		{"gzip that ends early is refused", gzipped(batch(good))[:60], 400, "broken gzip"},
		{"gzip with a broken head is refused", "\x1f\x8b\x08", 400, "broken gzip"},
		{"what is not UTF-8 is refused", batch(change("ada", "\xff")), 400, "UTF-8"},
		{"a list alone is refused", `[` + good + `]`, 400, "list named batch"},
		{"a batch that is no list is refused", `{"api_key":"phc_test","batch":{}}`, 400, "list named batch"},
		{"an empty batch is refused", batch(), 400, "empty"},
		{"an event that is no object is refused", batch(good, `7`), 400, "message 2 is no object"},
		{"an event without a name is refused", batch(change(`"event"`, `"evnt"`)), 400, "message 1 has no event name"},
		{"an event with an empty name is refused", batch(change("CLI execution succeeded", "")), 400, "message 1 has an empty event name"},
		{"an event whose name is a number is refused", batch(change(`"CLI execution succeeded"`, `1`)), 400, "event that is no string"},
		{"an event without a distinct id is refused", batch(good, change(`"distinct_id"`, `"id"`)), 400, "message 2 has no distinct_id"},
		{"an event with an empty distinct id is refused", batch(change(`"ada"`, `""`)), 400, "no distinct_id"},
		{"an event whose distinct id is null is refused", batch(change(`"ada"`, `null`)), 400, "no distinct_id"},
		{"a uuid that is none is refused", batch(change(id(1), "u-1")), 400, "which is none"},
		{"a uuid that is a number is refused", batch(change(`"`+id(1)+`"`, `7`)), 400, "uuid that is no string"},
		{"a timestamp that is a number is refused", batch(change(`"`+noon+`"`, `1763899200`)), 400, "timestamp that is no string"},
		{"properties that are a list are refused", batch(change(`{"command_name":"whoami"}`, `[]`)), 400, "properties that are no object"},

		{"a missing key is 401", `{"batch":[` + good + `]}`, 401, "no key"},
		{"an empty key is 401", `{"api_key":"","batch":[` + good + `]}`, 401, "no key"},
		{"a key that is a number is 401", `{"api_key":7,"batch":[` + good + `]}`, 401, "no string"},
		{"a personal key is 401", `{"api_key":"phx_1","batch":[` + good + `]}`, 401, "personal"},
		{"a key that is too long is 401", `{"api_key":"` + strings.Repeat("k", 65) + `","batch":[` + good + `]}`, 401, "longer than 64"},
		{"a key beyond ASCII is 401", `{"api_key":"ключ","batch":[` + good + `]}`, 401, "ASCII"},
		{"two keys in one batch are 401", `{"batch":[` + change(`{`, `{"token":"a",`) + `,` + change(`{`, `{"token":"b",`) + `]}`, 401, "two keys"},
		{"the shape is looked at before the key", `{"api_key":"","batch":[7]}`, 400, "no object"},
		{"the key is looked at before the content", `{"api_key":"","batch":[` + change(`"ada"`, `""`) + `]}`, 401, "no key"},

		{"21 MB are 413", strings.Repeat(" ", 21<<20), 413, "larger than 20 MB"},
		{"21 MB are 413 in gzip, too", gzipped(strings.Repeat(" ", 21<<20)), 413, "larger than 20 MB"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := outboxtest.Start(t)
			a := send(s, client(patient), test.body)
			if a.err != nil || a.status != test.status || !strings.Contains(a.body, test.reason) {
				t.Errorf("answered %d %q, %v; want %d with %q", a.status, a.body, a.err, test.status, test.reason)
			}
			kept := s.Commits()
			if accepted := test.status == http.StatusOK; accepted != (len(kept) == 1) {
				t.Errorf("%d messages were kept; a refused batch keeps none and this accepted one has 1", len(kept))
			}
			if len(kept) == 1 && kept[0].Token != token {
				t.Errorf("it was kept for the key %q, want %q", kept[0].Token, token)
			}
			if accepted := a.body == `{"status": "Ok"}`; accepted != (test.status == http.StatusOK) {
				t.Errorf("the body is %q; PostHog says Ok to what it accepts and to nothing else", a.body)
			}
			if got := s.Requests()[0]; got.Status != test.status || (got.Refusal == "") != (test.status == http.StatusOK) {
				t.Errorf("the log says %d %q, want %d and a reason only for a refusal", got.Status, got.Refusal, test.status)
			}
		})
	}
}

func TestTheMessageBehindATooLargeOneIsLostAndTheOneBeforeItKept(t *testing.T) {
	s := outboxtest.Start(t)
	large := strings.Replace(event(2, "ada", noon), "whoami", strings.Repeat("w", 1<<20), 1)
	a := send(s, client(patient), batch(event(1, "ada", noon), large, event(3, "ada", noon)))
	if a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("answered %d, want 413 for an event above 1 MB", a.status)
	}
	wantUUIDs(t, "kept", s.Commits(), 1)
}

func TestOtherPathsAndMethodsAreNoBatch(t *testing.T) {
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{"POST", "/batch", 200}, {"POST", "/batch/?compression=gzip", 200},
		{"GET", "/batch/", 405}, {"POST", "/capture/", 404}, {"POST", "/", 404},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			s := outboxtest.Start(t)
			request, err := http.NewRequestWithContext(soon(t), test.method, s.URL()+test.path, strings.NewReader(batch(event(1, "ada", noon))))
			if err != nil {
				t.Fatal(err)
			}
			response, err := client(patient).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != test.status || (len(s.Commits()) == 1) != (test.status == 200) {
				t.Errorf("answered %d and kept %d, want %d", response.StatusCode, len(s.Commits()), test.status)
			}
		})
	}
}

func TestMessagesAreReadAsPostHogReadsThem(t *testing.T) {
	s := outboxtest.Start(t)
	long := strings.Repeat("ä", 250)
	body := batch(
		strings.Replace(event(1, "ada", noon), id(1), strings.ToUpper(id(1)), 1),
		event(2, long, noon),
		alias(3, "anon", "ada", later),
		`{"event":"\u0065","distinct_id":["a", 1],"uuid":"`+id(4)+`","timestamp":"`+noon+`"}`,
		`{"event":"e","distinct_id":"top","uuid":"`+id(5)+`","timestamp":"2026-11-23T13:00:00+01:00","properties":{"distinct_id":"inner","n":1}}`,
	)
	a := send(s, client(patient), body)
	commits := s.Commits()
	if a.status != http.StatusOK || len(commits) != 5 {
		t.Fatalf("answered %d %q and kept %d, want 200 and 5", a.status, a.body, len(commits))
	}
	for i, want := range []struct{ uuid, event, id, alias, at string }{
		{id(1), "CLI execution succeeded", "ada", "", "12:00:00"},
		{id(2), "CLI execution succeeded", long[:400], "", "12:00:00"},
		{id(3), "$create_alias", "ada", "anon", "12:00:01"},
		{id(4), "e", `["a", 1]`, "", "12:00:00"},
		{id(5), "e", "top", "", "12:00:00"},
	} {
		c := commits[i]
		if c.UUID != want.uuid || c.Event != want.event || c.DistinctID != want.id || c.Alias != want.alias ||
			c.Timestamp.Format(time.TimeOnly) != want.at || c.Timestamp.Location() != time.UTC {
			t.Errorf("message %d was read as %+v, want %+v", i+1, c, want)
		}
		if c.Token != token || c.Request != 1 || c.Seq != i+1 {
			t.Errorf("message %d was filed as %q %d.%d", i+1, c.Token, c.Request, c.Seq)
		}
		if !strings.Contains(body, string(c.Raw)) || c.Raw[0] != '{' || c.Raw[len(c.Raw)-1] != '}' {
			t.Errorf("the raw message %d is %q, which is not what was sent", i+1, c.Raw)
		}
	}
	if got := commits[4].Properties(); len(got) != 2 || got["n"] != 1.0 {
		t.Errorf("the properties are %v, want distinct_id and n", got)
	}
	if got := commits[3].Properties(); got == nil || len(got) != 0 {
		t.Errorf("the properties of an event without any are %#v, want an empty map", got)
	}
}

func FuzzBatch(f *testing.F) {
	for _, seed := range []string{
		batch(event(1, "ada", noon)), gzipped(batch(alias(1, "anon", "ada", noon))), `{"batch":[{}]}`, `[]`, ``,
		`{"api_key":null,"batch":[{"event":"","distinct_id":{},"uuid":"","properties":{"alias":[],"token":1}}]}`,
		"\x1f\x8b\x08", `{"batch":null}`, `{"api_key":"k","batch":[null]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		s := outboxtest.New()
		status := serve(s, body)
		if kept := len(s.Commits()); (kept > 0) != (status == http.StatusOK) {
			t.Errorf("answered %d and kept %d: a body is accepted as a whole or not at all", status, kept)
		}
		if repeat := serve(s, body); repeat != status {
			t.Errorf("answered %d and then %d to the same body", status, repeat)
		}
		for _, c := range s.Events() {
			_ = c.Properties() // must not panic
		}
	})
}
