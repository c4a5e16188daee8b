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

// segmentMessage is a message of Segment's HTTP tracking API,
// https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/.
type segmentMessage struct {
	Type        string          `json:"type"`
	Event       string          `json:"event,omitempty"`
	PreviousID  string          `json:"previousId,omitempty"`
	AnonymousID string          `json:"anonymousId,omitempty"`
	UserID      string          `json:"userId,omitempty"`
	MessageID   string          `json:"messageId"` // Segment folds repeats by it
	Timestamp   time.Time       `json:"timestamp"`
	Properties  json.RawMessage `json:"properties,omitempty"`
}

// appendSegment writes an anonymous event, an event of a user, or an alias.
func appendSegment(wire []byte, m outbox.Message) ([]byte, error) {
	s := segmentMessage{Type: "track", Event: m.Event, AnonymousID: m.AnonID, UserID: m.DistinctID,
		MessageID: m.UUID, Timestamp: m.RecordedAt.UTC(), Properties: m.Properties}
	if m.Anonymous() {
		s.UserID = ""
	}
	if m.Kind == outbox.Alias {
		s.Type, s.Event, s.PreviousID, s.AnonymousID, s.Properties = "alias", "", m.AnonID, "", nil
	}
	form, err := json.Marshal(s)
	return append(wire, form...), err
}

// segment returns a sink. Segment takes 500 kB in a request and 32 kB in a message.
func segment(url, writeKey string) *httpsink.Sink {
	return httpsink.New(httpsink.Config{
		URL:      url,
		Header:   http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(writeKey+":"))}},
		Encoder:  &httpsend.Encoder{Open: `{"batch":[`, Close: `]}`, Append: appendSegment, MaxBody: 500_000, MaxMessage: 32_000},
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
	// {"type":"track","event":"greeted","anonymousId":"7d0c","userId":"ada","messageId":"0198c0de-0000-7000-8000-000000000001","timestamp":"2026-11-23T12:00:00Z","properties":{"name_length":5}} <nil>
}
