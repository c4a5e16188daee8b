package httpsink_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsink"
)

// segmentForm is an anonymous event, an event of a user, or an alias, in the form of Segment's HTTP tracking API,
// https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/. Segment folds repeats by messageId.
func segmentForm(m outbox.Message) (any, error) {
	form := map[string]any{"messageId": m.UUID, "timestamp": m.RecordedAt.UTC()}
	if !m.Anonymous() {
		form["userId"] = m.DistinctID
	}
	if m.Kind == outbox.Alias {
		form["type"], form["previousId"] = "alias", m.AnonID
		return form, nil
	}
	form["type"], form["event"], form["anonymousId"] = "track", m.Event, m.AnonID
	form["properties"] = m.Properties
	return form, nil
}

// segment returns a sink. Segment takes 500 kB in a request and 32 kB in a message.
func segment(url, writeKey string) *httpsink.Sink {
	return httpsink.New(httpsink.Config{
		URL:      url,
		Header:   http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(writeKey+":"))}},
		Encoder:  &httpsend.Encoder{Open: `{"batch":[`, Close: `]}`, Form: segmentForm, MaxBody: 500_000, MaxMessage: 32_000},
		AckField: "success",
	})
}

// Segment's HTTP tracking API has a form of its own.
func Example_segment() {
	sink := segment("https://api.segment.io/v1/batch", "WRITE_KEY")
	wire, err := sink.Wire(outbox.Message{
		UUID: "0198c0de-0000-7000-8000-000000000001", Kind: outbox.Capture, Event: "greeted", AnonID: "7d0c", DistinctID: "ada",
		RecordedAt: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Properties: json.RawMessage(`{"name_length":5}`),
	})
	fmt.Println(string(wire), err)
	// Output:
	// {"anonymousId":"7d0c","event":"greeted","messageId":"0198c0de-0000-7000-8000-000000000001","properties":{"name_length":5},"timestamp":"2026-11-23T12:00:00Z","type":"track","userId":"ada"} <nil>
}
