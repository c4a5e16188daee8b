package posthog

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/posthog/posthog-go"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

const aUUID = "0190a3c0-0000-7000-8000-000000000001"

// event1 is an anonymous event.
func event1(properties string) outbox.Message {
	return outbox.Message{
		Seq: 1, UUID: aUUID, Kind: outbox.Capture, Event: "ran", AnonID: "anon", DistinctID: "anon",
		Properties: json.RawMessage(properties), RecordedAt: time.UnixMilli(1_700_000_000_123).UTC(),
	}
}

func alias1() outbox.Message {
	m := event1(``)
	m.Kind, m.Event, m.DistinctID = outbox.Alias, "$create_alias", "person"
	m.RecordedAt = time.UnixMilli(1_700_000_000_000).In(time.FixedZone("", 7200))
	return m
}

// tricky is one of each kind of message, and what encoders like to disagree about.
func tricky() []outbox.Message {
	known := event1(`{"n":12.340,"big":12345678901234567890,"e":1E+2,"t":true,"z":null,"list":[1, 2,{"b":1, "a":2}]}`)
	known.Event, known.DistinctID = strings.Repeat("e", 200), strings.Repeat("p", 200) // the longest
	loud := event1(`{"text":"<&>ü\\\" \/ é"}`)
	loud.Event, loud.AnonID, loud.DistinctID = "<&>\u2028ü\\\"\t\x00\x7f", "a<b", "a<b"
	stranger := alias1()
	stranger.AnonID, stranger.Event = "ü<\"\u2028", "$renamed"
	special := event1(`{"$session_id":"s","$window_id":"w","$cookieless_mode":true,"$product_tour_id":"7","$ignore_sent_at":false,` +
		`"$process_person_profile":false}`)
	special.DistinctID = "person"
	messages := []outbox.Message{
		event1(`{}`), known, alias1(), loud, stranger, special,
		event1(` { "b" : 1 , "a" : "x" , "$lib":"mine", "$process_person_profile":true, "a":"twice" } `),
		event1(`{"<":1,"\u003c":2,"ü":"` + "\u2028" + `","deep":[[[{"a":{}}]]]}`), event1("{ \n}"),
	}
	for i := range messages { // capture v1 refuses all if two have the same
		messages[i].UUID = fmt.Sprintf("0190a3c0-0000-7000-8000-%012x", i+1)
	}
	return messages
}

func TestAMessageThatCanNeverBeSentIsNamed(t *testing.T) {
	long := strings.Repeat("x", 201)
	bad := map[string]func(*outbox.Message){
		"no uuid":             func(m *outbox.Message) { m.UUID = "" },
		"a uuid in capitals":  func(m *outbox.Message) { m.UUID = strings.ToUpper(m.UUID) },
		"no event":            func(m *outbox.Message) { m.Event = "" },
		"a long event":        func(m *outbox.Message) { m.Event = long },
		"an event of no text": func(m *outbox.Message) { m.Event = "\xff" },
		"undecided":           func(m *outbox.Message) { m.DistinctID = "" },
		"a long distinct id":  func(m *outbox.Message) { m.DistinctID = long },
		"an id of no text":    func(m *outbox.Message) { m.DistinctID = "\xff" },
		"an alias of nobody":  func(m *outbox.Message) { m.Kind, m.AnonID = outbox.Alias, "" },
		"an alias of no text": func(m *outbox.Message) { m.Kind, m.AnonID = outbox.Alias, "\xff" },
		"an alias for nobody": func(m *outbox.Message) { m.Kind, m.DistinctID = outbox.Alias, "" },
	}
	for _, properties := range []string{
		``, `[1]`, `"a":1`, `{`, `{"a":`, `{"a":1`, `{"a":{"b":1}`, `{"a":1}}`, `{}{}`, "{\"a\":\"\xff\"}",
	} {
		bad["the properties "+properties] = func(m *outbox.Message) { m.Properties = []byte(properties) }
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

// seen is a request and its body.
type seen struct {
	*http.Request
	plain string
}

// recorder is a server that takes everything on both paths.
type recorder chan seen

func (got recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(body)
	got <- seen{r, string(plain)}
	return reply{200, `{"status": "Ok", "results": {"` + aUUID + `": {"result": "ok"}}}`}.to(r), err
}

// protocol is one of the two that the library and the sink speak.
type protocol struct {
	memo   string
	client posthog.Client // the library's own
	sink   *Sink
	got    recorder // of both
}

// protocols returns both, with clients that upload size messages at once.
func protocols(tb testing.TB, key string, size int) map[string]protocol {
	tb.Helper()
	both := map[string]protocol{}
	for memo, mode := range map[string]posthog.CaptureMode{"": posthog.CaptureModeAnalyticsV1, batchMemo: posthog.CaptureModeLegacy} {
		got := make(recorder, 2)
		client, err := posthog.NewWithConfig(key, posthog.Config{
			Transport: got, BatchSize: size, Interval: time.Hour, MaxRetries: posthog.Ptr(0), IsServer: posthog.Ptr(false),
			Compression: posthog.CompressionGzip, CaptureMode: mode,
		})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { client.Close() })
		both["protocol "+memo] = protocol{memo, client, New(Config{Key: key, Transport: got}), got}
	}
	return both
}

// send returns what the sink puts on the wire for the messages, and what the library does. PostHog must make the same
// of both.
func (p protocol) send(t *testing.T, messages ...outbox.Message) (is, want seen) {
	t.Helper()
	for _, m := range messages {
		if err := p.client.Enqueue(given(t, m)); err != nil {
			t.Fatalf("posthog-go does not take %+v: %v", m, err)
		}
	}
	select {
	case want = <-p.got:
	case <-time.After(time.Minute):
		t.Fatal("posthog-go has sent nothing")
	}
	body, n, err := p.sink.Encode(messages)
	if err != nil || n != len(messages) {
		t.Fatalf("%d of %d messages were encoded: %v", n, len(messages), err)
	}
	p.sink.Send(t.Context(), outbox.Request{Body: body, Messages: messages, Memo: p.memo})
	if len(p.got) != 1 {
		t.Fatalf("the sink sends %d requests for %+v", len(p.got), messages)
	}
	is = <-p.got
	if got, library := made(t, is), made(t, want); !reflect.DeepEqual(got, library) {
		t.Errorf("PostHog makes of it\n%v\nand of what the library sends\n%v\nfrom %s\nand %s", got, library, is.plain, want.plain)
	}
	return is, want
}

// given is a message as a program gives it to the client.
func given(t *testing.T, m outbox.Message) posthog.Message {
	t.Helper()
	if m.Kind == outbox.Alias {
		return posthog.Alias{Uuid: m.UUID, DistinctId: m.DistinctID, Alias: m.AnonID, Timestamp: m.RecordedAt}
	}
	properties := posthog.Properties{}
	decode(t, string(m.Properties), &properties)
	if m.Anonymous() {
		properties["$process_person_profile"] = false
	}
	return posthog.Capture{Uuid: m.UUID, DistinctId: m.DistinctID, Event: m.Event, Timestamp: m.RecordedAt, Properties: properties}
}

// decode keeps numbers as they were written.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// made is what PostHog makes of the events of a request. /batch/ takes them as they are, and an alias's id
// from its properties, too. Capture v1 appends what stands beside the properties, and who the header
// names, to them. The option that keeps the time is the sink's own and left out.
func made(t *testing.T, s seen) (events []map[string]any) {
	t.Helper()
	var body struct{ Batch []map[string]any }
	decode(t, s.plain, &body)
	for _, e := range body.Batch {
		properties, _ := e["properties"].(map[string]any)
		options, _ := e["options"].(map[string]any)
		if id, there := properties["distinct_id"]; there && e["distinct_id"] == nil {
			e["distinct_id"] = id
			delete(properties, "distinct_id")
		}
		if strings.HasPrefix(s.URL.Path, "/i/v1/") {
			for _, name := range []string{"process_person_profile", "cookieless_mode", "product_tour_id", "session_id", "window_id"} {
				for _, beside := range []map[string]any{options, e} {
					if value, there := beside[name]; there {
						properties["$"+name] = value
					}
				}
			}
			properties["$lib"], properties["$lib_version"], _ = strings.Cut(s.Header.Get("PostHog-Sdk-Info"), "/")
		}
		delete(properties, "$ignore_sent_at")
		// PostHog looks at none of the last three.
		for _, other := range []string{"options", "session_id", "window_id", "type", "library", "library_version"} {
			delete(e, other)
		}
		events = append(events, e)
	}
	return events
}

// framed are the headers of a request. Which uuid and which time it has is its own matter.
func framed(s seen) http.Header {
	header := s.Header.Clone()
	header.Del("Content-Length") // which package http sets
	header.Del("Idempotency-Key")
	if uuid.Validate(header.Get("PostHog-Request-Id")) == nil {
		header.Set("PostHog-Request-Id", "a uuid")
	}
	if _, err := time.Parse(time.RFC3339, header.Get("PostHog-Request-Timestamp")); err == nil {
		header.Set("PostHog-Request-Timestamp", "a time")
	}
	return header
}

// A version of the library with another wire form fails here.
func TestPostHogMakesTheSameOfTheRequestAsOfTheLibrarys(t *testing.T) {
	messages := tricky()
	for name, p := range protocols(t, "phc_<key>", len(messages)) {
		t.Run(name, func(t *testing.T) {
			is, want := p.send(t, messages...)
			anonymous := 0
			for _, m := range messages {
				if m.Anonymous() {
					anonymous++
				}
				if wire, err := p.sink.Wire(m); err != nil || !strings.Contains(is.plain, string(wire)) {
					t.Errorf("a person is shown %s, %v, and something else is sent", wire, err)
				}
			}
			if n := strings.Count(is.plain, `"disable_skew_correction":true`); n != len(messages) {
				t.Errorf("%d of %d messages keep their time", n, len(messages))
			}
			if n := strings.Count(is.plain, `"process_person_profile":false`); n != anonymous {
				t.Errorf("%d of %d anonymous messages make no person by capture v1", n, anonymous)
			}
			if is.Method != want.Method || is.URL.String() != want.URL.String() {
				t.Errorf("%s %s, want the library's %s %s", is.Method, is.URL, want.Method, want.URL)
			}
			if !reflect.DeepEqual(framed(is), framed(want)) {
				t.Errorf("the header is %v, want the library's %v", is.Header, want.Header)
			}
			var envelope, library map[string]any
			decode(t, is.plain, &envelope)
			decode(t, want.plain, &library)
			for key := range library {
				if _, there := envelope[key]; !there && key != "sent_at" { // without it /batch/ keeps the time
					t.Errorf("the request has no %s, the library's has", key)
				}
			}
		})
	}
}

// FuzzTheLibrary compares the two on whatever a disk may give back.
func FuzzTheLibrary(f *testing.F) {
	for _, m := range tricky() {
		f.Add(string(m.Kind), m.Event, m.AnonID, m.DistinctID, string(m.Properties))
	}
	both := protocols(f, "k", 1)
	f.Fuzz(func(t *testing.T, kind, event, anon, distinct, properties string) {
		m := event1(properties)
		m.Kind, m.Event, m.AnonID, m.DistinctID = outbox.Kind(kind), event, anon, distinct
		if _, err := New(Config{Key: "k"}).Wire(m); err != nil {
			t.Skip()
		}
		for _, p := range both {
			p.send(t, m)
		}
	})
}
