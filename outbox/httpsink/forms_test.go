package httpsink_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsink"
)

// aFew are an event of an anonymous user, one of ada's and an alias.
func aFew() []outbox.Message {
	anonymous := event(`{"n":1.5,"ok":true,"list":[1,"<"],"none":null}`)
	anonymous.DistinctID = anonymous.AnonID
	return []outbox.Message{anonymous, event(`{"text":"<&>\""}`), alias()}
}

func TestSegmentGetsABatchOfItsOwnForm(t *testing.T) {
	at := func(url string) *httpsink.Sink { return segment(url+"/v1/batch", "key") }
	r, body, answer := sent(t, at, reply{200, `{"success":true}`}, aFew()...)
	const id, when = `"messageId":"0190a3c0-0000-7000-8000-000000000001",`, `"timestamp":"2026-11-23T12:00:00.123Z",`
	const greeted = `"anonymousId":"anon","event":"greeted",` + id
	want := `{"batch":[` +
		`{` + greeted + `"properties":{"n":1.5,"ok":true,"list":[1,"\u003c"],"none":null},` + when + `"type":"track"},` +
		`{` + greeted + `"properties":{"text":"\u003c\u0026\u003e\""},` + when + `"type":"track","userId":"ada"},` +
		`{` + id + `"previousId":"anon",` + when + `"type":"alias","userId":"ada"}]}`
	if body != want || answer.Outcome != outbox.Accepted {
		t.Errorf("%+v, and the body is\n%s\nwant\n%s", answer, body, want)
	}
	if key, password, _ := r.BasicAuth(); key != "key" || password != "" || r.URL.Path != "/v1/batch" {
		t.Errorf("the write key is %q, the path %s", key, r.URL.Path)
	}
}

// What this writes is checked against OpenTelemetry's own types by .ci/otlp, which reads the same file.
func TestACollectorGetsLogRecords(t *testing.T) {
	at := func(url string) *httpsink.Sink { return collector(url + "/v1/logs") }
	r, body, answer := sent(t, at, reply{200, `{"partialSuccess":{}}`}, aFew()...)
	if answer.Outcome != outbox.Accepted || r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%+v at %s as %s", answer, r.URL.Path, r.Header.Get("Content-Type"))
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(body), "", "  "); err != nil {
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
