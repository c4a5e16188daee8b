package posthog

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// answering is a sink whose requests are all answered so.
func answering(status int, body string) *Sink {
	return New(Config{Key: "k", Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Retry-After": {"7"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
		}, nil
	})})
}

func TestOnlyPostHogsOwnAcknowledgementCounts(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		code   string // "" for accepted
	}{
		{"Ok", 200, `{"status": "Ok"}`, ""},
		{"ok", 200, `{"status":"ok"}`, ""},
		{"1, as older versions say", 200, `{"status": 1}`, ""},
		{"Ok with more fields", 200, `{"status": "Ok", "x": []}`, ""},
		{"over quota", 200, `{"status": "Ok", "quota_limited": ["events"]}`, outbox.CodeQuota},
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
		{"a captive portal's page", 200, `<html>Welcome</html>`, outbox.CodePortal},
		{"204", 204, ``, outbox.CodeForeign},
		{"202", 202, `{"status": "Ok"}`, outbox.CodeForeign},
		{"400", 400, `{"type":"validation_error"}`, outbox.CodeRefused},
		{"413", 413, ``, outbox.CodeRefused},
		{"413 as a page", 413, `<html>`, outbox.CodeForeign},
		{"422", 422, ``, outbox.CodeForeign},
		{"401", 401, ``, outbox.CodeKey},
		{"429", 429, ``, outbox.CodeRetryAfter},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := answering(test.status, test.body).Send(t.Context(), nil)
			if v.Code != test.code || (v.Outcome == outbox.Accepted) != (test.code == "") {
				t.Errorf("the verdict is %+v, want code %q", v, test.code)
			}
			if (v.RetryAfter > 0) != (v.Outcome == outbox.Later) {
				t.Errorf("the verdict is %+v: a wait belongs to later and to nothing else", v)
			}
		})
	}
}

func FuzzTheAcknowledgement(f *testing.F) {
	for _, body := range []string{`{"status": "Ok"}`, `{"status": 1}`, `{"status":"Ok","quota_limited":[]}`, `<html>`, ``, `{"status":`, `{"STATUS":"ok"}`} {
		f.Add(200, body)
		f.Add(202, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 100 || status > 999 {
			t.Skip()
		}
		v := answering(status, body).Send(t.Context(), nil)
		if v.Outcome == outbox.Accepted && (status != 200 || !json.Valid([]byte(body)) || !strings.Contains(strings.ToLower(body), "status")) {
			t.Errorf("HTTP %d with %q counts as accepted", status, body)
		}
		if v.Outcome != outbox.Accepted && (v.Reason == "" || v.Code == "") {
			t.Errorf("a message stays without anybody saying why: %+v", v)
		}
	})
}

func TestWhatIsWrongWithTheConfigurationIsToldBeforeAnythingIsSent(t *testing.T) {
	tests := []struct {
		name, host, key string
		code, says      string
	}{
		{"no key", "", " \t", outbox.CodeNoKey, "no PostHog key"},
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
			if v := sink.Send(t.Context(), nil); v.Outcome != outbox.Later || v.Code != test.code {
				t.Errorf("the verdict is %+v", v)
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

func TestAMessageThatCanNeverBeSentIsNamed(t *testing.T) {
	bad := map[string]func(*outbox.Message){
		"no uuid":              func(m *outbox.Message) { m.UUID = "" },
		"another uuid":         func(m *outbox.Message) { m.UUID = "x" + m.UUID },
		"no event":             func(m *outbox.Message) { m.Event = "" },
		"undecided":            func(m *outbox.Message) { m.DistinctID = "" },
		"an alias of nobody":   func(m *outbox.Message) { m.Kind, m.AnonID = outbox.Alias, "" },
		"no properties":        func(m *outbox.Message) { m.Properties = nil },
		"properties as a list": func(m *outbox.Message) { m.Properties = []byte(`[1]`) },
		"properties break off": func(m *outbox.Message) { m.Properties = []byte(`{"a":`) },
		"the year 10000":       func(m *outbox.Message) { m.RecordedAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"over 500,000 bytes":   func(m *outbox.Message) { m.Properties = []byte(`{"a":"` + strings.Repeat("x", 500_000) + `"}`) },
	}
	for name, spoil := range bad {
		messages := []outbox.Message{event1(`{}`), event1(`{}`)}
		spoil(&messages[1])
		var unsendable *outbox.Unsendable
		if _, _, err := New(Config{Key: "k"}).Encode(messages); !errors.As(err, &unsendable) || unsendable.Index != 1 {
			t.Errorf("%s: %v, want message 1 named, so that its neighbours arrive", name, err)
		}
	}
}

func TestABatchKeepsToPostHogsLimits(t *testing.T) {
	sink := New(Config{Key: "k"})
	if _, n, err := sink.Encode(typical(501)); n != 500 || err != nil {
		t.Errorf("%d of 501 small messages are in a batch (%v), want 500", n, err)
	}
	large := event1(`{"a":"` + strings.Repeat("<", 30_000) + `"}`) // six bytes each on the wire
	body, n, err := sink.Encode([]outbox.Message{large, large, large, large})
	if size := len(gunzip(t, body)); n != 2 || err != nil || size > 450_000 {
		t.Errorf("%d messages of 180 kB with %d bytes are in a batch (%v), want 2", n, size, err)
	}
	largest := event1(`{"a":"` + strings.Repeat("x", 490_000) + `"}`)
	if _, n, err := sink.Encode([]outbox.Message{largest, largest}); n != 1 || err != nil {
		t.Errorf("%d messages of 490 kB are in a batch (%v), want one: PostHog takes it", n, err)
	}
}

func TestTheProfileSwitchIsOnAnonymousEventsOnly(t *testing.T) {
	known := event1(`{}`)
	known.DistinctID = "person"
	undecided := event1(`{}`)
	undecided.DistinctID = ""
	for name, test := range map[string]struct {
		m    outbox.Message
		want bool
	}{"anonymous": {event1(`{}`), true}, "undecided": {undecided, true}, "known": {known, false}, "alias": {alias1(), false}} {
		value, there := properties(t, test.m)["$process_person_profile"]
		if there != test.want || there && value != false {
			t.Errorf("%s: the switch is %v (there: %v); on an alias it makes PostHog drop the alias", name, value, there)
		}
	}
}

func properties(t *testing.T, m outbox.Message) map[string]any {
	t.Helper()
	wire, err := New(Config{Key: "k"}).Wire(m)
	if err != nil {
		t.Fatal(err)
	}
	var decoded struct {
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal(wire, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded.Properties
}

// Rows come from a disk: whatever they hold, they are sent or named, and never panic.
func FuzzWire(f *testing.F) {
	f.Add(uuid.NewString(), "capture", "ran", "anon", "anon", `{"a":1}`)
	f.Add("x", "alias", "$create_alias", "anon", "person", `{}`)
	f.Add(uuid.NewString(), "alias", "$create_alias", "anon", "person", `{"$process_person_profile":false}`)
	f.Add(strings.ToUpper(uuid.NewString()), "capture", "ran", "anon", "person", `{"a":null}`)
	f.Add("", "", "", "", "", `[`)
	sink := New(Config{Key: "k"})
	f.Fuzz(func(t *testing.T, id, kind, event, anon, distinct, properties string) {
		m := outbox.Message{UUID: id, Kind: outbox.Kind(kind), Event: event, AnonID: anon, DistinctID: distinct, Properties: []byte(properties)}
		if m.DistinctID == "" {
			m.DistinctID = anon
		}
		wire, err := sink.Wire(m)
		if err != nil {
			return
		}
		var sent struct {
			UUID       string         `json:"uuid"`
			Properties map[string]any `json:"properties"`
		}
		if err := json.Unmarshal(wire, &sent); err != nil {
			t.Fatalf("on the wire is %q: %v", wire, err)
		}
		if sent.UUID != id {
			t.Errorf("the message %q went out as %q: a repeat could not be folded", id, sent.UUID)
		}
		if off := sent.Properties["$process_person_profile"] == false; off && m.Kind == outbox.Alias || !off && m.Anonymous() {
			t.Errorf("the profile of %s is switched off: %v", wire, off)
		}
	})
}
