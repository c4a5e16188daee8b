package httpsink_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
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
	m := event(`{}`)
	m.Kind, m.Event = outbox.Alias, "$create_alias"
	return m
}

// reply is what a stand-in answers.
type reply struct {
	status int
	body   string
}

// sent returns what a stand-in gets from a sink that sends messages to it, and what the sink makes of the reply.
func sent(
	t *testing.T, at func(url string) *httpsink.Sink, says reply, messages ...outbox.Message,
) (r *http.Request, body string, a outbox.Answer) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r = request
		if reader, err := gzip.NewReader(request.Body); err == nil {
			plain, _ := io.ReadAll(reader)
			body = string(plain)
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(says.status)
		io.WriteString(w, says.body)
	}))
	defer server.Close()
	sink := at(server.URL)
	encoded, n, err := sink.Encode(messages)
	if err != nil || n != len(messages) {
		t.Fatalf("%d of %d messages are encoded, %v", n, len(messages), err)
	}
	a = sink.Send(t.Context(), outbox.Request{Body: encoded})
	return r, body, a
}

func TestTheWireFormIsTheDocumentedOne(t *testing.T) {
	theirs := http.Header{"Authorization": {"Bearer hush"}, "content-type": {"wrong"}, "Content-Length": {"7"}}
	var sink *httpsink.Sink
	at := func(url string) *httpsink.Sink {
		sink = httpsink.New(httpsink.Config{URL: " " + url + "/events?token=hush ", Header: theirs})
		return sink
	}
	got, body, answer := sent(t, at, reply{204, ""}, event(`{"n": 12345678901234567890}`), alias())
	const first = `{"uuid":"0190a3c0-0000-7000-8000-000000000001","kind":"capture","event":"greeted","distinct_id":"ada",` +
		`"timestamp":"2026-11-23T12:00:00.123Z","properties":{"n":12345678901234567890}}`
	const want = `[` + first + `,` +
		`{"uuid":"0190a3c0-0000-7000-8000-000000000001","kind":"alias","event":"$create_alias","distinct_id":"ada","alias":"anon",` +
		`"timestamp":"2026-11-23T12:00:00.123Z","properties":{}}]`
	if body != want || answer.Outcome != outbox.Accepted {
		t.Errorf("%+v, and the body is %s, want %s: people's servers read it", answer, body, want)
	}
	if got.Method != "POST" || got.RequestURI != "/events?token=hush" || !strings.HasSuffix(sink.Endpoint(), "/events") {
		t.Errorf("%s %s at the endpoint %s, which is stored and shown, so it must have no query", got.Method, got.RequestURI, sink.Endpoint())
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer hush", "Content-Type": "application/json", "Content-Encoding": "gzip",
	} {
		if got.Header.Get(name) != want || len(theirs) != 3 {
			t.Errorf("%s is %q, want %q, and the caller's header as it was: %v", name, got.Header.Get(name), want, theirs)
		}
	}
	if wire, err := sink.Wire(event(`{"n": 12345678901234567890}`)); err != nil || string(wire) != first {
		t.Errorf("a person is shown %s, %v", wire, err)
	}
}

// What every server's answer means is httpsend's.
func TestOnlyTheServersOwnSuccessCountsWhereAFieldIsItsAcknowledgement(t *testing.T) {
	for want, answers := range map[outbox.Outcome][]reply{
		outbox.Accepted: {{200, `{"kept":true}`}, {202, `{"kept":"ok"}`}},
		outbox.Later:    {{200, `{"kept":false}`}, {200, `{"kept":1}`}, {200, `{}`}, {200, `{"x":{"kept":true}}`}, {200, `kept`}, {204, ``}},
		outbox.Fewer:    {{400, `{}`}, {413, ``}, {422, `no`}},
	} {
		for _, says := range answers {
			at := func(url string) *httpsink.Sink {
				return httpsink.New(httpsink.Config{URL: url, AckField: "kept"})
			}
			if _, _, a := sent(t, at, says, event(`{}`)); a.Outcome != want || a.RetryAfter != 7*time.Second {
				t.Errorf("%+v: the answer is %+v, want outcome %d and the server's wish to be left alone", says, a, want)
			}
		}
	}
}

// Which addresses are wrong is httpsend's.
func TestAWrongAddressIsToldBeforeAnythingIsSent(t *testing.T) {
	sink := httpsink.New(httpsink.Config{URL: "https://hush:hush@host/"})
	if err := sink.Check(); err == nil || !strings.HasSuffix(err.Error(), "https://example.com/events") {
		t.Errorf("%v, want what a right one looks like", err)
	}
	if a := sink.Send(t.Context(), outbox.Request{}); a.Code != outbox.CodeAddress || sink.Endpoint() != "" {
		t.Errorf("%+v at %q", a, sink.Endpoint())
	}
}
