package posthog

import (
	"compress/gzip"
	"encoding/json"
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
	mode posthog.CaptureMode
	memo string
}

func protocols() map[string]protocol {
	return map[string]protocol{
		"capture v1": {posthog.CaptureModeAnalyticsV1, ""}, "batch": {posthog.CaptureModeLegacy, batchMemo},
	}
}

// libraryClient is posthog-go's own client, which uploads size messages at once.
func libraryClient(tb testing.TB, server recorder, key string, size int, mode posthog.CaptureMode) posthog.Client {
	tb.Helper()
	client, err := posthog.NewWithConfig(key, posthog.Config{
		Transport: server, BatchSize: size, Interval: time.Hour,
		MaxQueueSize: size, MaxEnqueuedRequests: 1,
		Compression: posthog.CompressionGzip,
		CaptureMode: mode,
		MaxRetries:  posthog.Ptr(0),
		IsServer:    posthog.Ptr(false),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close() })
	return client
}

// decode keeps numbers as they were written.
func decode(tb testing.TB, text string, into any) {
	tb.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
}

// given is a message as a program gives it to the client.
func given(tb testing.TB, m outbox.Message) posthog.Message {
	tb.Helper()
	if m.Kind == outbox.Alias {
		return posthog.Alias{Uuid: m.UUID, DistinctId: m.DistinctID, Alias: m.AnonID, Timestamp: m.RecordedAt}
	}
	properties := posthog.Properties{}
	decode(tb, string(m.Properties), &properties)
	if m.Anonymous() {
		properties["$process_person_profile"] = false
	}
	return posthog.Capture{Uuid: m.UUID, DistinctId: m.DistinctID, Event: m.Event, Timestamp: m.RecordedAt, Properties: properties}
}

// sent returns what the client puts on the wire for the messages.
func sent(t *testing.T, client posthog.Client, got recorder, messages []outbox.Message) seen {
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
func ours(t *testing.T, sink *Sink, got recorder, memo string, messages []outbox.Message) seen {
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
	decode(t, s.plain, &body)
	for _, e := range body.Batch {
		properties, _ := e["properties"].(map[string]any)
		options, _ := e["options"].(map[string]any)
		if id, there := properties["distinct_id"]; there && e["distinct_id"] == nil {
			e["distinct_id"] = id
			delete(properties, "distinct_id")
		}
		if strings.HasPrefix(s.URL.Path, "/i/v1/") {
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
			properties["$lib"], properties["$lib_version"], _ = strings.Cut(s.Header.Get("PostHog-Sdk-Info"), "/")
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
	for name, p := range protocols() {
		t.Run(name, func(t *testing.T) {
			messages, got := tricky(), make(recorder, 1)
			want := sent(t, libraryClient(t, got, "phc_<key>", len(messages), p.mode), got, messages)
			is := ours(t, New(Config{Key: "phc_<key>", Transport: got}), got, p.memo, messages)
			compare(t, is, want)
			for _, m := range messages {
				if wire, err := New(Config{Key: "k"}).Wire(m); err != nil || !strings.Contains(is.plain, string(wire)) {
					t.Errorf("a person is shown %s, %v, and something else is sent", wire, err)
				}
			}
			if n := strings.Count(is.plain, `"disable_skew_correction":true`); n != len(messages) {
				t.Errorf("%d of %d messages keep their time", n, len(messages))
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
	got := make(recorder, 1)
	clients := map[string]posthog.Client{}
	for name, p := range protocols() {
		clients[name] = libraryClient(f, got, "k", 1, p.mode)
	}
	f.Fuzz(func(t *testing.T, kind, event, anon, distinct, properties string) {
		m := event1(properties)
		m.Kind, m.Event, m.AnonID, m.DistinctID = outbox.Kind(kind), event, anon, distinct
		sink := New(Config{Key: "k", Transport: got})
		if _, err := sink.Wire(m); err != nil {
			t.Skip()
		}
		for name, p := range protocols() {
			want := sent(t, clients[name], got, []outbox.Message{m})
			compare(t, ours(t, sink, got, p.memo, []outbox.Message{m}), want)
		}
	})
}
