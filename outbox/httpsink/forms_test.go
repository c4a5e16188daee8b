package httpsink_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsink"
)

// sent returns what a stand-in gets from a sink that sends an event of an anonymous user, one of ada's and an alias,
// and what the sink makes of its answer.
func sent(t *testing.T, at func(url string) *httpsink.Sink, answer string) (r *http.Request, body []byte, v outbox.Answer) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r = request
		if reader, err := gzip.NewReader(request.Body); err == nil {
			body, _ = io.ReadAll(reader)
		}
		io.WriteString(w, answer)
	}))
	defer server.Close()
	anonymous, ada := event(`{"n":1.5,"ok":true,"list":[1,"<"],"none":null}`), event(`{"text":"<&>\""}`)
	anonymous.DistinctID = anonymous.AnonID
	merged := alias()
	merged.Properties = json.RawMessage(`{}`) // Add fills it in
	sink := at(server.URL)
	encoded, n, err := sink.Encode([]outbox.Message{anonymous, ada, merged})
	if err != nil || n != 3 {
		t.Fatalf("%d messages are encoded, %v; want 3", n, err)
	}
	v = sink.Send(t.Context(), outbox.Request{Body: encoded})
	return r, body, v
}

func TestSegmentGetsABatchOfItsOwnForm(t *testing.T) {
	at := func(url string) *httpsink.Sink { return segment(url+"/v1/batch", "key") }
	r, body, v := sent(t, at, `{"success":true}`)
	var got struct {
		Batch []struct{ Type, Event, AnonymousID, UserID, PreviousID, MessageID, Timestamp string }
	}
	if err := json.Unmarshal(body, &got); err != nil || len(got.Batch) != 3 || v.Outcome != outbox.Accepted {
		t.Fatalf("%s, %v, %+v; want a batch of three, and success to be an acknowledgement", body, err, v)
	}
	if key, password, _ := r.BasicAuth(); key != "key" || password != "" || r.URL.Path != "/v1/batch" {
		t.Errorf("the write key is %q, the path %s", key, r.URL.Path)
	}
	first, second, third := got.Batch[0], got.Batch[1], got.Batch[2]
	if first.Type != "track" || first.AnonymousID != "anon" || first.UserID != "" || first.Event != "greeted" {
		t.Errorf("an anonymous event is %+v", first)
	}
	if second.UserID != "ada" || second.AnonymousID != "anon" || second.MessageID == "" || second.Timestamp != "2026-11-23T12:00:00.123Z" {
		t.Errorf("a user's event is %+v", second)
	}
	if third.Type != "alias" || third.PreviousID != "anon" || third.UserID != "ada" || third.AnonymousID != "" {
		t.Errorf("an alias is %+v", third)
	}
	if _, _, v := sent(t, at, `{"success":false}`); v.Outcome != outbox.Later {
		t.Errorf("another answer is %+v, want later", v)
	}
	long := event(`{"text":"` + strings.Repeat("x", 32_000) + `"}`)
	var unsendable *outbox.Unsendable
	if _, err := at("http://localhost").Wire(long); !errors.As(err, &unsendable) {
		t.Errorf("a message of 32 kB: %v, want an Unsendable: Segment drops it in silence", err)
	}
}

// What this writes is checked against OpenTelemetry's own types by .ci/otlp, which reads the same file.
func TestACollectorGetsLogRecords(t *testing.T) {
	at := func(url string) *httpsink.Sink { return collector(url + "/v1/logs") }
	r, body, v := sent(t, at, `{"partialSuccess":{}}`)
	if v.Outcome != outbox.Accepted || r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%+v at %s as %s", v, r.URL.Path, r.Header.Get("Content-Type"))
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, body, "", "  "); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	want, err := os.ReadFile("testdata/otlp.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := indented.String() + "\n"; got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("the body is\n%s\nand testdata/otlp.json, which OpenTelemetry's types have read, is another", got)
	}
}
