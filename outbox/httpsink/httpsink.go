package httpsink

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
)

// example is what a right address looks like.
const example = "https://example.com/events"

// Config says where messages go, and in which form.
type Config struct {
	// URL is the whole address. Blanks around it are ignored. All of it but the query may be shown
	// to people and is stored, so a secret belongs into Header, or else into the query.
	URL string
	// Header is sent with each request. Content-Type, Content-Encoding and Content-Length are the
	// sink's.
	Header http.Header
	// Encoder makes the bodies, for a server that expects another form. Nil: the package's own.
	Encoder *httpsend.Encoder
	// AckField is a field that an acknowledgement must have, with true or "ok" in it. "": a status
	// from 200 to 299 is enough.
	AckField string
	// Transport carries the requests, as [httpsend.Transport] takes it. Nil: the standard one.
	Transport http.RoundTripper
}

// Sink is an [outbox.Sink] for a server that takes JSON.
type Sink struct {
	*httpsend.Encoder // of the bodies
	endpoint          string
	client            httpsend.Client
}

var _ outbox.Sink = (*Sink)(nil)

// New returns a sink. It opens nothing; Check says what is wrong with the configuration.
func New(cfg Config) *Sink {
	address, wrong := httpsend.ParseAddress(cfg.URL, example)
	url := address.String()
	address.RawQuery = ""
	return &Sink{
		endpoint: address.String(),
		Encoder:  cmp.Or(cfg.Encoder, &httpsend.Encoder{Open: "[", Close: "]", Form: form}),
		client: httpsend.Client{
			Wrong: wrong, URL: url, Header: cfg.Header.Clone(), Transport: httpsend.Transport(cfg.Transport),
			Success:  acknowledgement(cfg.AckField),
			Refusals: []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity},
		},
	}
}

// Endpoint is the address without its query.
func (s *Sink) Endpoint() string { return s.endpoint }

// Check says what is wrong with the address.
func (s *Sink) Check() error { return s.client.Wrong }

// Send posts a body from Encode. One verdict is for all its messages.
func (s *Sink) Send(ctx context.Context, r outbox.Request) outbox.Answer {
	answer, _ := s.client.Send(ctx, r.Body)
	return answer
}

// acknowledgement judges a success by the field, if there is one.
func acknowledgement(field string) func(httpsend.Answer) outbox.Verdict {
	return func(a httpsend.Answer) (v outbox.Verdict) {
		var answer map[string]any
		_ = json.Unmarshal(a.Body, &answer) // a body that is no object has no field
		if value := answer[field]; field == "" || value == true || value == "ok" {
			v.Outcome = outbox.Accepted
		}
		return v
	}
}

// element is a message on the wire.
type element struct {
	UUID       string          `json:"uuid"`
	Kind       outbox.Kind     `json:"kind"`
	Event      string          `json:"event"`
	DistinctID string          `json:"distinct_id"`
	Alias      string          `json:"alias,omitempty"` // of an alias: the anon id
	Timestamp  time.Time       `json:"timestamp"`
	Properties json.RawMessage `json:"properties"`
}

func form(m outbox.Message) (any, error) {
	e := element{m.UUID, m.Kind, m.Event, m.DistinctID, "", m.RecordedAt.UTC(), m.Properties}
	if m.Kind == outbox.Alias {
		e.Alias, e.Properties = m.AnonID, json.RawMessage(`{}`)
	}
	return e, nil
}
