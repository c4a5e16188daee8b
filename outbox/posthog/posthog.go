package posthog

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
)

// DefaultHost is where messages go when Config names no host: PostHog's cloud in the US.
const DefaultHost = "https://us.i.posthog.com"

// batchMemo is the memo of an acceptance by /batch/.
const batchMemo = "batch"

// Config says where messages go. Blanks around Host and Key are ignored.
type Config struct {
	Host string // "": DefaultHost
	Key  string // the project's key
	// Transport carries the requests, as [httpsend.Transport] takes it. Nil: the standard one.
	Transport http.RoundTripper
}

// Sink is an [outbox.Sink] for PostHog.
type Sink struct {
	endpoint string
	key      string
	client   httpsend.Client
	library  func() (properties, sdk string)
	old      bool // capture v1 was found missing
}

var _ outbox.Sink = (*Sink)(nil)

// New returns a sink. It opens nothing; Check says what is wrong with the configuration.
func New(cfg Config) *Sink {
	s := &Sink{key: strings.TrimSpace(cfg.Key), library: sync.OnceValues(library)}
	s.client = httpsend.Client{
		Transport: httpsend.Transport(cfg.Transport),
		Success:   judgeBatch,
		Refusals:  []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge},
	}
	address, wrong := httpsend.ParseAddress(cmp.Or(strings.TrimSpace(cfg.Host), DefaultHost), DefaultHost)
	switch {
	case wrong != nil:
	case address.RawQuery != "":
		address, wrong = url.URL{}, &outbox.Unusable{Code: outbox.CodeAddress, Reason: "the address has a part behind a ?", Example: DefaultHost}
	case s.key == "":
		wrong = &outbox.Unusable{Code: outbox.CodeNoKey, Reason: "no PostHog key is set"}
	case strings.ContainsFunc(s.key, func(r rune) bool { return r <= ' ' || r > '~' }): // PostHog would blame the messages
		wrong = &outbox.Unusable{Code: outbox.CodeKey, Reason: "it has a character in it that no key has"}
	}
	s.client.Wrong = wrong
	s.endpoint = strings.TrimRight(address.String(), "/")
	return s
}

// Endpoint is PostHog's address.
func (s *Sink) Endpoint() string { return s.endpoint }

// Check says what is wrong with the host, or with the key.
func (s *Sink) Check() error { return s.client.Wrong }

// Encode makes a body of at most 4 MiB before compression, which both protocols understand. A single
// message may have 500,000 bytes.
func (s *Sink) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	return s.encoder().Encode(messages)
}

// Wire returns a message as PostHog gets it.
func (s *Sink) Wire(m outbox.Message) (json.RawMessage, error) { return s.encoder().Wire(m) }

func (s *Sink) encoder() *httpsend.Encoder {
	key, _ := json.Marshal(s.key) // a string always can be
	own, _ := s.library()
	return &httpsend.Encoder{
		Open:  `{"api_key":` + string(key) + `,"created_at":"` + now() + `","batch":[`,
		Close: "]}",
		Form:  func(m outbox.Message) (any, error) { return form(m, own) },
	}
}

// Send sends a request by capture v1 and, if the server has none, by /batch/. It then stays with /batch/, unless
// that gives no answer either.
func (s *Sink) Send(ctx context.Context, r outbox.Request) outbox.Answer {
	_, sdk := s.library()
	if r.Memo != batchMemo && !s.old {
		judged, came := s.post(ctx, r.Body, "/i/v1/analytics/events", http.Header{
			"Authorization":             {"Bearer " + s.key},
			"User-Agent":                {sdk},
			"Posthog-Sdk-Info":          {sdk},
			"Posthog-Attempt":           {"1"},
			"Posthog-Request-Id":        {uuid.NewString()},
			"Posthog-Request-Timestamp": {now()},
		})
		if answer, here := judgeV1(came, judged, r.Messages); here {
			return answer
		}
	}
	answer, _ := s.post(ctx, r.Body, "/batch/?compression=gzip", http.Header{"User-Agent": {sdk}})
	s.old = answer.Outcome != outbox.Later
	if answer.Outcome == outbox.Accepted {
		answer.Memo = batchMemo
	}
	return answer
}

func (s *Sink) post(ctx context.Context, body []byte, path string, header http.Header) (outbox.Answer, httpsend.Answer) {
	client := s.client
	client.URL, client.Header = s.endpoint+path, header
	return client.Send(ctx, body)
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }
