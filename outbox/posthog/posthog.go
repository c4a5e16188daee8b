package posthog

import (
	"context"
	"encoding/json"
	"net/http"
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
	// Transport carries the requests. It must not follow redirects; none of net/http's does. Nil: a
	// clone of http.DefaultTransport that reads at most 64 kB of header.
	Transport http.RoundTripper
	Now       func() time.Time // the clock; nil: time.Now
}

// Sink is an [outbox.Sink] for PostHog.
type Sink struct {
	endpoint string
	key      string
	encoder  httpsend.Encoder
	client   httpsend.Client
	clock    func() time.Time
	old      bool // capture v1 was found missing
}

var _ outbox.Sink = (*Sink)(nil)

// New returns a sink. It opens nothing; Check says what is wrong with the configuration.
func New(cfg Config) *Sink {
	host := cfg.Host
	if strings.TrimSpace(host) == "" {
		host = DefaultHost
	}
	s := &Sink{key: strings.TrimSpace(cfg.Key), clock: cfg.Now}
	if s.clock == nil {
		s.clock = time.Now
	}
	endpoint, wrong := parseHost(host)
	if wrong == nil {
		wrong = checkKey(s.key)
	}
	s.endpoint = endpoint
	s.encoder = httpsend.Encoder{Close: "]}", Append: encoder{sync.OnceValue(suffix)}.append}
	s.client = httpsend.Client{
		Wrong:     wrong,
		Transport: httpsend.Transport(cfg.Transport),
		Success:   judgeBatch,
		Refusals:  []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge},
	}
	return s
}

func parseHost(host string) (endpoint string, err error) {
	address, err := httpsend.ParseAddress(host, DefaultHost)
	if err == nil && address.RawQuery != "" {
		err = &outbox.Unusable{Code: outbox.CodeAddress, Reason: "the address has a part behind a ?", Example: DefaultHost}
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(address.String(), "/"), nil
}

// checkKey refuses a key that cannot be put into a header: PostHog would blame the messages for it.
func checkKey(key string) error {
	switch {
	case key == "":
		return &outbox.Unusable{Code: outbox.CodeNoKey, Reason: "no PostHog key is set"}
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return &outbox.Unusable{Code: outbox.CodeKey, Reason: "it has a character in it that no key has"}
	}
	return nil
}

// Endpoint is PostHog's address.
func (s *Sink) Endpoint() string { return s.endpoint }

// Check says what is wrong with the host, or with the key.
func (s *Sink) Check() error { return s.client.Wrong }

// Encode makes a body of at most 4 MiB before compression, which both protocols understand. A single
// message may have 500,000 bytes.
func (s *Sink) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	key, _ := json.Marshal(s.key) // a string always can be
	s.encoder.Open = `{"api_key":` + string(key) + `,"created_at":"` + s.now() + `","batch":[`
	return s.encoder.Encode(messages)
}

// Wire returns a message as PostHog gets it.
func (s *Sink) Wire(m outbox.Message) (json.RawMessage, error) { return s.encoder.Wire(m) }

// Send sends a request by capture v1 and, if the server has none, by /batch/. It then stays with /batch/, unless
// that gives no answer either.
func (s *Sink) Send(ctx context.Context, r outbox.Request) outbox.Answer {
	if r.Memo != batchMemo && !s.old {
		if answer, here := s.sendV1(ctx, r); here {
			return answer
		}
	}
	answer, _ := s.clientFor("/batch/?compression=gzip", http.Header{}).Send(ctx, r.Body)
	s.old = answer.Outcome != outbox.Later
	if answer.Outcome == outbox.Accepted {
		answer.Memo = batchMemo
	}
	return answer
}

// sendV1 sends a request by capture v1. here is false if it is missing.
func (s *Sink) sendV1(ctx context.Context, r outbox.Request) (answer outbox.Answer, here bool) {
	judged, came := s.clientFor("/i/v1/analytics/events", http.Header{
		"Authorization":             {"Bearer " + s.key},
		"Posthog-Sdk-Info":          {sdk()},
		"Posthog-Attempt":           {"1"},
		"Posthog-Request-Id":        {uuid.NewString()},
		"Posthog-Request-Timestamp": {s.now()},
	}).Send(ctx, r.Body)
	if came.Status == 0 {
		return judged, true
	}
	return judgeV1(came, judged, r.Messages)
}

func (s *Sink) clientFor(path string, header http.Header) *httpsend.Client {
	header.Set("User-Agent", sdk())
	client := s.client
	client.URL, client.Header = s.endpoint+path, header
	return &client
}

func (s *Sink) now() string { return s.clock().UTC().Format(time.RFC3339) }
