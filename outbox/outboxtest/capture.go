package outboxtest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// maxBody is the most that PostHog takes in a request, in bytes, as it comes and unpacked: the least of its limits.
const maxBody = 10 << 20

// capture is a request that was understood, and the result of each of its messages, as
// [Server.SetResults] has them: "" for a good one.
type capture struct {
	Key       string            `json:"api_key"`
	CreatedAt *time.Time        `json:"created_at"`
	Batch     []json.RawMessage `json:"batch"`
	messages  []Message
	results   []string
}

// refusal is why a request is refused: a status, and capture v1's tag or a sentence.
type refusal struct {
	status int
	reason string
}

func (r *refusal) Error() string { return r.reason }

func badRequest(reason string) error { return &refusal{http.StatusBadRequest, reason} }

// read reads a request as PostHog does, in its order: capture v1's header, the body's shape, the key, each event's
// uuid, and then each event for itself.
func read(v1 bool, header http.Header, body []byte) (c capture, err error) {
	zipped := bytes.HasPrefix(body, []byte{0x1f, 0x8b}) // at /batch/, whatever the header says
	if v1 {
		zipped = header.Get("Content-Encoding") != ""
		err = checkV1(header)
	}
	if err == nil {
		err = c.unpack(body, zipped)
	}
	switch {
	case err != nil:
		return c, err
	case !v1 && !isToken(c.Key):
		return c, &refusal{http.StatusUnauthorized, "the api_key is missing, or not a project's"}
	case v1 && (c.CreatedAt == nil || c.Batch == nil):
		return c, badRequest("request_parsing_error")
	case len(c.Batch) == 0:
		return c, badRequest("empty_batch")
	}
	for _, raw := range c.Batch {
		if err = c.add(raw, v1); err != nil {
			return c, err
		}
	}
	return c, nil
}

func checkV1(header http.Header) error {
	token, bearer := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	if token == "" || bearer && !isToken(token) {
		return &refusal{http.StatusUnauthorized, "invalid_api_token"}
	}
	for _, name := range []string{
		"Content-Type", "User-Agent", "PostHog-Sdk-Info", "PostHog-Attempt", "PostHog-Request-Id", "PostHog-Request-Timestamp",
	} {
		if header.Get(name) == "" {
			return badRequest("missing_required_headers")
		}
	}
	attempt, _ := strconv.Atoi(header.Get("PostHog-Attempt"))
	_, badTime := time.Parse(time.RFC3339, header.Get("PostHog-Request-Timestamp"))
	switch {
	case header.Get("Content-Type") != "application/json", cmp.Or(header.Get("Content-Encoding"), "gzip") != "gzip":
		return &refusal{http.StatusUnsupportedMediaType, "unsupported_encoding"}
	case !bearer, attempt < 1, badTime != nil, uuid.Validate(header.Get("PostHog-Request-Id")) != nil:
		return badRequest("invalid_header_value")
	}
	return nil
}

// add reads an event, and notes what is wrong with it alone. The error is for the whole request.
func (c *capture) add(raw json.RawMessage, v1 bool) error {
	e := struct {
		UUID, Event, Timestamp *string
		DistinctID             any `json:"distinct_id"`
		Options, Properties    json.RawMessage
	}{Options: json.RawMessage(`{}`), Properties: json.RawMessage(`{}`)} // which may be missing
	if json.Unmarshal(raw, &e) != nil || e.UUID == nil || e.Event == nil || e.Timestamp == nil {
		return badRequest("request_parsing_error")
	}
	id, err := uuid.Parse(*e.UUID)
	switch {
	case err != nil:
		return badRequest("invalid_event_uuid")
	case v1 && slices.ContainsFunc(c.messages, func(m Message) bool { return m.UUID == id.String() }):
		return badRequest("duplicate_event_uuid")
	}
	var options struct {
		Profile  *bool `json:"process_person_profile"`
		KeepTime bool  `json:"disable_skew_correction"`
	}
	var properties map[string]any
	badOptions, badProperties := json.Unmarshal(e.Options, &options) != nil, json.Unmarshal(e.Properties, &properties) != nil
	at, badTime := time.Parse(time.RFC3339, *e.Timestamp)
	distinct, _ := e.DistinctID.(string)
	m := Message{
		UUID: id.String(), Event: *e.Event, DistinctID: strings.TrimSpace(distinct), Timestamp: at.UTC(), Raw: raw,
		personless: options.Profile != nil && !*options.Profile || options.Profile == nil && properties["$process_person_profile"] == false,
		timeless:   v1 && !options.KeepTime,
	}
	if m.IsAlias() {
		m.Alias, _ = properties["alias"].(string)
	}
	quoted := len(raw) + bytes.Count(raw, []byte(`"`)) + bytes.Count(raw, []byte(`\`)) // as a text in its queue's record
	wrong := ""
	for _, rule := range []struct {
		broken bool
		tag    string
	}{
		{m.Event == "", "missing_event_name"}, {len(m.Event) > 200, "event_name_too_long"},
		{m.DistinctID == "", "missing_distinct_id"}, {len(m.DistinctID) > 200, "distinct_id_too_large"},
		{badTime != nil, "invalid_event_timestamp"}, {badProperties, "malformed_event_properties"},
		{v1 && badOptions, "invalid_options"}, {quoted > 1_000_000, "event_too_big"},
	} {
		if rule.broken && wrong == "" {
			wrong = "drop:" + rule.tag
		}
	}
	c.messages, c.results = append(c.messages, m), append(c.results, wrong)
	return nil
}

func (c *capture) unpack(body []byte, zipped bool) error {
	plain := body
	if zipped {
		reader, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			plain, err = io.ReadAll(io.LimitReader(reader, maxBody+1))
		}
		if err != nil {
			return badRequest("request_decoding_error")
		}
	}
	if max(len(body), len(plain)) > maxBody {
		return &refusal{http.StatusRequestEntityTooLarge, "payload_too_large"}
	}
	if !utf8.Valid(plain) || json.Unmarshal(plain, c) != nil {
		return badRequest("request_parsing_error")
	}
	return nil
}

func isToken(token string) bool {
	return token != "" && len(token) <= 64 && !strings.HasPrefix(token, "phx_") &&
		!strings.ContainsFunc(token, func(r rune) bool { return r > 0x7f || r == 0 })
}
