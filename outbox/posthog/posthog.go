package posthog

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/posthog/posthog-go"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
)

// DefaultHost is where messages go when Config names no host: PostHog's cloud in the US.
const DefaultHost = "https://us.i.posthog.com"

// Config says where messages go. Blanks around Host and Key are ignored.
type Config struct {
	Host string // "": DefaultHost
	Key  string // the project's key
	// Transport carries the requests. It must not follow redirects; none of net/http's does. Nil: a
	// clone of http.DefaultTransport that reads at most 64 kB of header.
	Transport http.RoundTripper
	Now       func() time.Time // for a Retry-After that is a date; nil: time.Now
}

// Sink is an [outbox.Sink] for PostHog.
type Sink struct {
	endpoint string
	encoder  httpsend.Encoder
	client   httpsend.Client
}

var _ outbox.Sink = (*Sink)(nil)

// New returns a sink. It opens nothing; what is wrong with the configuration is told by Check.
func New(cfg Config) *Sink {
	host := cfg.Host
	if strings.TrimSpace(host) == "" {
		host = DefaultHost
	}
	key := strings.TrimSpace(cfg.Key)
	endpoint, wrong := parseHost(host)
	if wrong == nil && key == "" {
		wrong = &outbox.Unusable{Code: outbox.CodeNoKey, Reason: "no PostHog key is set"}
	}
	return &Sink{
		endpoint: endpoint,
		encoder:  httpsend.Encoder{Open: opening(key), Close: "]}", Append: new(encoder).append},
		client: httpsend.Client{
			Wrong:     wrong,
			URL:       endpoint + "/batch/?compression=gzip",
			Transport: httpsend.Transport(cfg.Transport),
			Judge: httpsend.Judge{
				Success:  judgeSuccess,
				Refusals: []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge},
				Now:      cfg.Now,
			},
		},
	}
}

func parseHost(host string) (endpoint string, err error) {
	address, err := httpsend.ParseAddress(host, DefaultHost)
	if err == nil && address.Query != "" {
		err = &outbox.Unusable{Code: outbox.CodeAddress, Reason: "the address has a part behind a ?; a right one looks like " + DefaultHost}
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(address.Public, "/"), nil
}

func opening(key string) string {
	quoted, _ := json.Marshal(key) // a string always can be
	return `{"api_key":` + string(quoted) + `,"batch":[`
}

// Endpoint is PostHog's address.
func (s *Sink) Endpoint() string { return s.endpoint }

// Check says what is wrong with the host, or that there is no key.
func (s *Sink) Check() error { return s.client.Wrong }

// Encode makes a body of at most 500 messages and 450,000 bytes before compression. A single message
// may have 500,000, as many as PostHog takes.
func (s *Sink) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	return s.encoder.Encode(messages)
}

// Wire returns a message as PostHog gets it.
func (s *Sink) Wire(m outbox.Message) (json.RawMessage, error) { return s.encoder.Wire(m) }

// Send posts a body that Encode has made.
func (s *Sink) Send(ctx context.Context, body []byte) outbox.Verdict {
	client := s.client
	client.Header = http.Header{
		"User-Agent":       {posthog.SDKName + "/" + libraryVersion()},
		"Content-Type":     {"application/json"},
		"Content-Encoding": {"gzip"},
		"Content-Length":   {strconv.Itoa(len(body))},
	}
	return client.Send(ctx, body)
}

// judgeSuccess accepts only what PostHog's capture endpoint says. Only 200 is a success there.
func judgeSuccess(a httpsend.Answer) outbox.Verdict {
	var answer struct {
		Status       any              `json:"status"`
		QuotaLimited *json.RawMessage `json:"quota_limited"`
	}
	if a.Status != http.StatusOK {
		return httpsend.Unexpected(a.Status)
	}
	if json.Unmarshal(a.Body, &answer) != nil {
		return httpsend.Portal(a.Status)
	}
	if answer.QuotaLimited != nil {
		return outbox.Verdict{Outcome: outbox.Later, Code: outbox.CodeQuota, Reason: "over PostHog's quota"}
	}
	switch answer.Status {
	case "Ok", "ok", 1.0:
		return outbox.Verdict{Outcome: outbox.Accepted}
	}
	return httpsend.Foreign("HTTP 200 without PostHog's acknowledgement")
}
