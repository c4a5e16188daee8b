package posthog

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/posthog/posthog-go"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// seen is a request as it came over a wire.
type seen struct {
	method, uri string
	header      http.Header
	plain       string
}

// recorder is a server that keeps what it gets, and takes everything on both paths.
func recorder(tb testing.TB) (url string, got <-chan seen) {
	tb.Helper()
	requests := make(chan seen, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := seen{method: r.Method, uri: r.RequestURI, header: r.Header}
		if body, err := gzip.NewReader(r.Body); err == nil {
			plain, _ := io.ReadAll(body)
			s.plain = string(plain)
		}
		requests <- s
		io.WriteString(w, `{"status": "Ok", "results": {"`+aUUID+`": {"result": "ok"}}}`)
	}))
	tb.Cleanup(server.Close)
	return server.URL, requests
}

// protocol is one of the two that the library and the sink speak.
type protocol struct {
	mode posthog.CaptureMode
	memo string
}

func protocols() map[string]protocol {
	return map[string]protocol{
		"capture v1": {posthog.CaptureModeAnalyticsV1, ""}, "batch": {posthog.CaptureModeLegacy, batchMemo},
	}
}

// libraryClient is posthog-go's own client, which uploads size messages at once.
func libraryClient(tb testing.TB, endpoint, key string, size int, mode posthog.CaptureMode) posthog.Client {
	tb.Helper()
	client, err := posthog.NewWithConfig(key, posthog.Config{
		Endpoint: endpoint, BatchSize: size, Interval: time.Hour,
		MaxQueueSize: size, MaxEnqueuedRequests: 1,
		Compression: posthog.CompressionGzip,
		CaptureMode: mode,
		MaxRetries:  posthog.Ptr(0),
		IsServer:    posthog.Ptr(false),
		Logger:      silent{},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close() })
	return client
}

type silent struct{}

func (silent) Debugf(string, ...any) {}
func (silent) Logf(string, ...any)   {}
func (silent) Warnf(string, ...any)  {}
func (silent) Errorf(string, ...any) {}

// given is a message as a program gives it to the client.
func given(tb testing.TB, m outbox.Message) posthog.Message {
	tb.Helper()
	if m.Kind == outbox.Alias {
		return posthog.Alias{Uuid: m.UUID, DistinctId: m.DistinctID, Alias: m.AnonID, Timestamp: m.RecordedAt}
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(m.Properties, &values); err != nil {
		tb.Fatal(err)
	}
	properties := posthog.Properties{}
	for name, value := range values {
		properties[name] = value
		if strings.HasPrefix(name, "$") { // the library looks at the values of some of these
			var decoded any
			_ = json.Unmarshal(value, &decoded)
			properties[name] = decoded
		}
	}
	if m.Anonymous() {
		properties["$process_person_profile"] = false
	}
	return posthog.Capture{Uuid: m.UUID, DistinctId: m.DistinctID, Event: m.Event, Timestamp: m.RecordedAt, Properties: properties}
}

// sent returns what the client puts on the wire for the messages.
func sent(t *testing.T, client posthog.Client, got <-chan seen, messages []outbox.Message) seen {
	t.Helper()
	for _, m := range messages {
		if err := client.Enqueue(given(t, m)); err != nil {
			t.Fatalf("posthog-go does not take %+v: %v", m, err)
		}
	}
	select {
	case s := <-got:
		return s
	case <-time.After(time.Minute):
		t.Fatal("posthog-go has sent nothing")
		return seen{}
	}
}

// ours returns what the sink puts on the wire for them.
func ours(t *testing.T, sink *Sink, got <-chan seen, memo string, messages []outbox.Message) seen {
	t.Helper()
	body, n, err := sink.Encode(messages)
	if err != nil || n != len(messages) {
		t.Fatalf("%d of %d messages were encoded: %v", n, len(messages), err)
	}
	sink.Send(t.Context(), outbox.Request{Body: body, Messages: messages, Memo: memo})
	return <-got
}

// made is what PostHog makes of the events of a request. /batch/ takes them as they are, and an alias's id
// from its properties, too. Capture v1 appends what stands beside the properties, and who the header
// names, to them. The option that keeps the time is the sink's own and left out.
func made(t *testing.T, s seen) (events []map[string]any) {
	t.Helper()
	var body struct{ Batch []map[string]any }
	decoder := json.NewDecoder(strings.NewReader(s.plain))
	decoder.UseNumber()
	if err := decoder.Decode(&body); err != nil {
		t.Fatalf("%v in %s", err, s.plain)
	}
	for _, e := range body.Batch {
		properties, _ := e["properties"].(map[string]any)
		options, _ := e["options"].(map[string]any)
		if id, there := properties["distinct_id"]; there && e["distinct_id"] == nil {
			e["distinct_id"] = id
			delete(properties, "distinct_id")
		}
		if strings.HasPrefix(s.uri, "/i/v1/") {
			for from, to := range map[string]string{
				"process_person_profile": "$process_person_profile", "cookieless_mode": "$cookieless_mode", "product_tour_id": "$product_tour_id",
			} {
				if value, there := options[from]; there {
					properties[to] = value
				}
			}
			for _, name := range []string{"session_id", "window_id"} {
				if value, there := e[name]; there {
					properties["$"+name] = value
				}
			}
			properties["$lib"], properties["$lib_version"], _ = strings.Cut(s.header.Get("PostHog-Sdk-Info"), "/")
		}
		delete(properties, "$ignore_sent_at")
		for _, other := range []string{"options", "session_id", "window_id", "type", "library", "library_version"} { // PostHog looks at none of the last three
			delete(e, other)
		}
		events = append(events, e)
	}
	return events
}

func compare(t *testing.T, is, want seen) {
	t.Helper()
	got, library := made(t, is), made(t, want)
	if !reflect.DeepEqual(got, library) {
		t.Errorf("PostHog makes of it\n%v\nand of what the library sends\n%v\nfrom %s\nand %s", got, library, is.plain, want.plain)
	}
}

// A version of the library with another wire form fails here.
func TestPostHogMakesTheSameOfTheRequestAsOfTheLibrarys(t *testing.T) {
	for name, p := range protocols() {
		t.Run(name, func(t *testing.T) {
			messages := tricky()
			url, got := recorder(t)
			want := sent(t, libraryClient(t, url, "phc_<key>", len(messages), p.mode), got, messages)
			is := ours(t, New(Config{Host: url, Key: "phc_<key>"}), got, p.memo, messages)
			compare(t, is, want)
			for _, m := range messages {
				if wire, err := New(Config{Key: "k"}).Wire(m); err != nil || !strings.Contains(is.plain, string(wire)) {
					t.Errorf("a person is shown %s, %v, and something else is sent", wire, err)
				}
			}
			if n := strings.Count(is.plain, `"disable_skew_correction":true`); n != len(messages) {
				t.Errorf("%d of %d messages keep their time", n, len(messages))
			}
			if is.method != want.method || is.uri != want.uri {
				t.Errorf("%s %s, want the library's %s %s", is.method, is.uri, want.method, want.uri)
			}
			for _, header := range []http.Header{is.header, want.header} {
				if id := header.Get("PostHog-Request-Id"); id != "" && uuid.Validate(id) != nil {
					t.Errorf("the request's id is %q", id)
				}
				if at := header.Get("PostHog-Request-Timestamp"); at != "" {
					if _, err := time.Parse(time.RFC3339, at); err != nil {
						t.Errorf("the request's time is %q", at)
					}
				}
				for _, own := range []string{"Content-Length", "PostHog-Request-Id", "PostHog-Request-Timestamp"} {
					header[http.CanonicalHeaderKey(own)] = header[http.CanonicalHeaderKey(own)][:0]
				}
			}
			if !maps.EqualFunc(is.header, want.header, slices.Equal) {
				t.Errorf("the header is %v, want the library's %v", is.header, want.header)
			}
			var envelope, library map[string]any
			if json.Unmarshal([]byte(is.plain), &envelope) != nil || json.Unmarshal([]byte(want.plain), &library) != nil {
				t.Fatal("not JSON")
			}
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
	url, got := recorder(f)
	clients := map[string]posthog.Client{}
	for name, p := range protocols() {
		clients[name] = libraryClient(f, url, "k", 1, p.mode)
	}
	f.Fuzz(func(t *testing.T, kind, event, anon, distinct, properties string) {
		m := event1(properties)
		m.Kind, m.Event, m.AnonID, m.DistinctID = outbox.Kind(kind), event, anon, distinct
		sink := New(Config{Host: url, Key: "k"})
		if _, err := sink.Wire(m); err != nil {
			t.Skip()
		}
		for name, p := range protocols() {
			want := sent(t, clients[name], got, []outbox.Message{m})
			compare(t, ours(t, sink, got, p.memo, []outbox.Message{m}), want)
		}
	})
}
