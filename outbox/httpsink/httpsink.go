package httpsink

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
)

// example is what a right address looks like.
const example = "https://example.com/events"

// Config says where messages go.
type Config struct {
	// URL is the whole address. Blanks around it are ignored. All of it but the query may be shown
	// to people and is stored, so a secret belongs into Header, or else into the query.
	URL string
	// Header is sent with each request. Content-Type, Content-Encoding and Content-Length are the
	// sink's.
	Header http.Header
	// AckField is a field that an acknowledgement must have, with true or "ok" in it. "": a status
	// from 200 to 299 is enough.
	AckField string
	// Transport carries the requests. It must not follow redirects; none of net/http's does. Nil: a
	// clone of http.DefaultTransport that reads at most 64 kB of header.
	Transport http.RoundTripper
	Now       func() time.Time // for a Retry-After that is a date; nil: time.Now
}

// Sink is an [outbox.Sink] for a server of one's own.
type Sink struct {
	endpoint string
	encoder  httpsend.Encoder
	client   httpsend.Client
}

var _ outbox.Sink = (*Sink)(nil)

// New returns a sink. It opens nothing; what is wrong with the configuration is told by Check.
func New(cfg Config) *Sink {
	address, wrong := httpsend.ParseAddress(cfg.URL, example)
	url := address.Public
	if address.Query != "" {
		url += "?" + address.Query
	}
	return &Sink{
		endpoint: address.Public,
		encoder:  httpsend.Encoder{Open: "[", Close: "]", Append: appendMessage},
		client: httpsend.Client{
			Wrong:     wrong,
			URL:       url,
			Header:    header(cfg.Header),
			Transport: httpsend.Transport(cfg.Transport),
			Judge: httpsend.Judge{
				Success:  acknowledgement(cfg.AckField),
				Refusals: []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity},
				Now:      cfg.Now,
			},
		},
	}
}

func header(theirs http.Header) http.Header {
	h := theirs.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Del("Content-Length")
	h.Set("Content-Type", "application/json")
	h.Set("Content-Encoding", "gzip")
	return h
}

// Endpoint is the address without its query.
func (s *Sink) Endpoint() string { return s.endpoint }

// Check says what is wrong with the address.
func (s *Sink) Check() error { return s.client.Wrong }

// Encode makes a body of at most 4 MiB before compression. A single message may have 500,000 bytes.
func (s *Sink) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	return s.encoder.Encode(messages)
}

// Wire returns a message as the server gets it.
func (s *Sink) Wire(m outbox.Message) (json.RawMessage, error) { return s.encoder.Wire(m) }

// Send posts a body that Encode has made. There is one verdict for all its messages.
func (s *Sink) Send(ctx context.Context, r outbox.Request) outbox.Answer {
	return s.client.Send(ctx, r.Body)
}

// acknowledgement judges a success by the field, if there is one.
func acknowledgement(field string) func(httpsend.Answer) outbox.Verdict {
	return func(a httpsend.Answer) outbox.Verdict {
		if field == "" {
			return outbox.Verdict{Outcome: outbox.Accepted}
		}
		var answer map[string]any
		if json.Unmarshal(a.Body, &answer) != nil {
			return httpsend.Portal(a.Status)
		}
		if value := answer[field]; value == true || value == "ok" {
			return outbox.Verdict{Outcome: outbox.Accepted}
		}
		return httpsend.Foreign("HTTP " + strconv.Itoa(a.Status) + " without the server's acknowledgement")
	}
}
