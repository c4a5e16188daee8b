package httpsink_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsink"
)

func event(properties string) outbox.Message {
	return outbox.Message{
		UUID: "0190a3c0-0000-7000-8000-000000000001", Kind: outbox.Capture, Event: "greeted", AnonID: "anon", DistinctID: "ada",
		Properties: json.RawMessage(properties),
		RecordedAt: time.Date(2026, 11, 23, 13, 0, 0, 123e6, time.FixedZone("", 3600)),
	}
}

func alias() outbox.Message {
	m := event("")
	m.Kind, m.Event = outbox.Alias, "$create_alias"
	return m
}

func TestTheWireFormIsTheDocumentedOne(t *testing.T) {
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		if reader, err := gzip.NewReader(r.Body); err == nil {
			body, _ = io.ReadAll(reader)
		}
	}))
	defer server.Close()
	theirs := http.Header{"Authorization": {"Bearer hush"}, "content-type": {"wrong"}, "Content-Length": {"7"}}
	sink := httpsink.New(httpsink.Config{URL: " " + server.URL + "/events?token=hush ", Header: theirs})
	encoded, n, err := sink.Encode([]outbox.Message{event(`{"n": 12345678901234567890}`), alias()})
	if err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if v := sink.Send(t.Context(), outbox.Request{Body: encoded}); v.Outcome != outbox.Accepted {
		t.Fatalf("the verdict is %+v", v)
	}
	const want = `[{"uuid":"0190a3c0-0000-7000-8000-000000000001","kind":"capture","event":"greeted","distinct_id":"ada",` +
		`"timestamp":"2026-11-23T12:00:00.123Z","properties":{"n":12345678901234567890}},` +
		`{"uuid":"0190a3c0-0000-7000-8000-000000000001","kind":"alias","event":"$create_alias","distinct_id":"ada","alias":"anon",` +
		`"timestamp":"2026-11-23T12:00:00.123Z","properties":{}}]`
	if string(body) != want {
		t.Errorf("the body is %s, want %s: people's servers read it", body, want)
	}
	if got.Method != "POST" || got.RequestURI != "/events?token=hush" {
		t.Errorf("%s %s", got.Method, got.RequestURI)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer hush", "Content-Type": "application/json", "Content-Encoding": "gzip",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if theirs.Get("Content-Encoding") != "" {
		t.Error("the caller's header was changed")
	}
	if sink.Endpoint() != server.URL+"/events" {
		t.Errorf("the endpoint is %s: it is stored and shown, so it must have no query", sink.Endpoint())
	}
	if wire, err := sink.Wire(event(`{}`)); err != nil || !strings.HasPrefix(want, "["+string(wire[:40])) {
		t.Errorf("a person is shown %s, %v", wire, err)
	}
}

func TestWhatTheServersAnswerMeans(t *testing.T) {
	const page = "<html>Welcome</html>"
	tests := []struct {
		name, field string
		status      int
		body        string
		want        outbox.Outcome
	}{
		{"any success", "", 200, "", outbox.Accepted},
		{"204", "", 204, "", outbox.Accepted},
		{"a page", "", 200, page, outbox.Later},
		{"the field is true", "kept", 202, `{"kept":true}`, outbox.Accepted},
		{"the field is ok", "kept", 200, `{"kept":"ok"}`, outbox.Accepted},
		{"the field is false", "kept", 200, `{"kept":false}`, outbox.Later},
		{"the field is something else", "kept", 200, `{"kept":1}`, outbox.Later},
		{"the field is missing", "kept", 200, `{}`, outbox.Later},
		{"the field is deeper", "kept", 200, `{"x":{"kept":true}}`, outbox.Later},
		{"no JSON", "kept", 200, `kept`, outbox.Later},
		{"an array", "kept", 200, `[true]`, outbox.Later},
		{"nothing", "kept", 204, ``, outbox.Later},
		{"400", "", 400, `{}`, outbox.Fewer},
		{"413", "", 413, ``, outbox.Fewer},
		{"422", "", 422, `no`, outbox.Fewer},
		{"422 as a page", "", 422, page, outbox.Later},
		{"401", "", 401, ``, outbox.NotAllowed},
		{"404", "", 404, ``, outbox.Later},
		{"429", "", 429, ``, outbox.Later},
		{"500", "", 500, ``, outbox.Later},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			}))
			defer server.Close()
			v := httpsink.New(httpsink.Config{URL: server.URL, AckField: test.field}).Send(t.Context(), outbox.Request{})
			if v.Outcome != test.want || (v.Outcome == outbox.Later) != (v.RetryAfter == 7*time.Second) {
				t.Errorf("the verdict is %+v, want outcome %d, and a wait only with later", v, test.want)
			}
		})
	}
}

func TestAMessageThatIsNoneIsNamed(t *testing.T) {
	bad := map[string]func(*outbox.Message){
		"no uuid":                func(m *outbox.Message) { m.UUID = "" },
		"no event":               func(m *outbox.Message) { m.Event = "" },
		"undecided":              func(m *outbox.Message) { m.DistinctID = "" },
		"an alias of nobody":     func(m *outbox.Message) { m.Kind, m.AnonID = outbox.Alias, "" },
		"no properties":          func(m *outbox.Message) { m.Properties = nil },
		"properties are a list":  func(m *outbox.Message) { m.Properties = []byte(`[1]`) },
		"properties break off":   func(m *outbox.Message) { m.Properties = []byte(`{"a":`) },
		"a time without RFC3339": func(m *outbox.Message) { m.RecordedAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
	}
	sink := httpsink.New(httpsink.Config{URL: "http://localhost"})
	for name, spoil := range bad {
		messages := []outbox.Message{event(`{}`), event(`{}`)}
		spoil(&messages[1])
		var unsendable *outbox.Unsendable
		if _, _, err := sink.Encode(messages); !errors.As(err, &unsendable) || unsendable.Index != 1 {
			t.Errorf("%s: %v, want message 1 named, so that its neighbours arrive", name, err)
		}
	}
}

func TestAWrongAddressIsToldBeforeAnythingIsSent(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:9", "ftp://host", "https://hush:hush@host/"} {
		sink := httpsink.New(httpsink.Config{URL: url})
		var unusable *outbox.Unusable
		if err := sink.Check(); !errors.As(err, &unusable) || !strings.Contains(err.Error(), "https://") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v, want what a right one looks like", url, err)
		}
		if v := sink.Send(t.Context(), outbox.Request{}); v.Code != outbox.CodeAddress || sink.Endpoint() != "" {
			t.Errorf("%q: %+v at %q", url, v, sink.Endpoint())
		}
	}
	if err := httpsink.New(httpsink.Config{URL: "http://localhost"}).Check(); err != nil {
		t.Errorf("a right address: %v", err)
	}
}

// A program that has a server of its own pays for no library of PostHog's.
func TestItDoesNotLinkPostHogsLibrary(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "posthog") {
		t.Error("the package depends on posthog-go")
	}
}
