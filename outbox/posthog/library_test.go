package posthog

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/posthog/posthog-go"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// seen is a request as it came over a wire.
type seen struct {
	method, uri string
	header      http.Header
	length      int64
	plain       string
}

// recorder is a server that keeps what it gets and acknowledges it.
func recorder(tb testing.TB) (url string, got <-chan seen) {
	tb.Helper()
	requests := make(chan seen, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := seen{method: r.Method, uri: r.RequestURI, header: r.Header, length: r.ContentLength}
		if body, err := gzip.NewReader(r.Body); err == nil {
			plain, _ := io.ReadAll(body)
			s.plain = string(plain)
		}
		requests <- s
		io.WriteString(w, `{"status": "Ok"}`)
	}))
	tb.Cleanup(server.Close)
	return server.URL, requests
}

// libraryClient is posthog-go's own client, which uploads size messages at once.
func libraryClient(tb testing.TB, endpoint, key string, size int) posthog.Client {
	tb.Helper()
	client, err := posthog.NewWithConfig(key, posthog.Config{
		Endpoint: endpoint, BatchSize: size, Interval: time.Hour,
		MaxQueueSize: size, MaxEnqueuedRequests: 1,
		Compression: posthog.CompressionGzip,
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

// A version of the library with another wire form fails here.
func TestTheRequestIsTheOneThatTheLibrarysClientSends(t *testing.T) {
	messages := tricky()
	url, got := recorder(t)
	want := sent(t, libraryClient(t, url, "phc_<key>", len(messages)), got, messages)

	sink := New(Config{Host: url, Key: "phc_<key>"})
	body, n, err := sink.Encode(messages)
	if err != nil || n != len(messages) {
		t.Fatalf("%d of %d messages were encoded: %v", n, len(messages), err)
	}
	if v := sink.Send(t.Context(), body); v.Outcome != outbox.Accepted {
		t.Fatalf("the verdict is %+v", v)
	}
	is := <-got
	if is.plain != want.plain {
		t.Errorf("the body differs from the library's:\n%s\nwant\n%s", is.plain, want.plain)
	}
	if is.method != want.method || is.uri != want.uri {
		t.Errorf("%s %s, want the library's %s %s", is.method, is.uri, want.method, want.uri)
	}
	is.header.Del("Content-Length") // compressors differ
	want.header.Del("Content-Length")
	if !maps.EqualFunc(is.header, want.header, func(a, b []string) bool { return strings.Join(a, "|") == strings.Join(b, "|") }) {
		t.Errorf("the header is %v, want the library's %v", is.header, want.header)
	}
}

func TestWireIsWhatEncodeSends(t *testing.T) {
	sink := New(Config{Key: "k"})
	for _, m := range tricky() {
		wire, err := sink.Wire(m)
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := sink.Encode([]outbox.Message{m})
		if err != nil {
			t.Fatal(err)
		}
		if want := `{"api_key":"k","batch":[` + string(wire) + `]}`; gunzip(t, body) != want {
			t.Errorf("a person is shown %s, and %s is sent", wire, gunzip(t, body))
		}
	}
}

func gunzip(tb testing.TB, body []byte) string {
	tb.Helper()
	reader, err := gzip.NewReader(strings.NewReader(string(body)))
	if err != nil {
		tb.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		tb.Fatal(err)
	}
	return string(plain)
}

// FuzzTheLibrarysBytes compares the two encoders on whatever a disk may give back.
func FuzzTheLibrarysBytes(f *testing.F) {
	for _, m := range tricky() {
		f.Add(string(m.Kind), m.Event, m.AnonID, m.DistinctID, string(m.Properties))
	}
	sink := New(Config{Key: "k"})
	url, got := recorder(f)
	client := libraryClient(f, url, "k", 1)
	f.Fuzz(func(t *testing.T, kind, event, anon, distinct, properties string) {
		m := event1(properties)
		m.Kind, m.Event, m.AnonID, m.DistinctID = outbox.Kind(kind), event, anon, distinct
		if _, err := sink.Wire(m); err != nil {
			t.Skip()
		}
		want := sent(t, client, got, []outbox.Message{m})
		body, _, err := sink.Encode([]outbox.Message{m})
		if err != nil {
			t.Fatal(err)
		}
		if is := gunzip(t, body); is != want.plain {
			t.Errorf("the bytes are\n%s\nwant the library's\n%s", is, want.plain)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	messages := typical(500)
	b.Run("sink", func(b *testing.B) {
		sink := New(Config{Key: "k"})
		for b.Loop() {
			if _, n, err := sink.Encode(messages); n != len(messages) || err != nil {
				b.Fatal(n, err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(messages)), "ns/message")
	})
	b.Run("library", func(b *testing.B) {
		ready := make(chan struct{})
		client, err := posthog.NewWithConfig("k", posthog.Config{
			Endpoint: "http://localhost", BatchSize: len(messages), Interval: time.Hour, MaxQueueSize: len(messages), MaxEnqueuedRequests: 1,
			Compression: posthog.CompressionGzip, MaxRetries: posthog.Ptr(0), IsServer: posthog.Ptr(false), Logger: silent{},
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				ready <- struct{}{}
				return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
			}),
		})
		if err != nil {
			b.Fatal(err)
		}
		defer client.Close()
		for b.Loop() {
			for _, m := range messages {
				if err := client.Enqueue(given(b, m)); err != nil {
					b.Fatal(err)
				}
			}
			<-ready
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(messages)), "ns/message")
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
