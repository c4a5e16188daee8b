package httpsink_test

import (
	"encoding/base64"
	"fmt"
	"net/http"

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
	fmt.Println(sink.Endpoint(), sink.Check())
	// Output: https://api.segment.io/v1/batch <nil>
}
