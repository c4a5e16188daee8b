package outboxtest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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

func badRequest(format string, args ...any) error {
	return &refusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// readV1 reads a request as capture v1 does, in its order: the key, the other headers, the body's shape,
// the uuids, and then each event for itself.
func readV1(header http.Header, body []byte) (c capture, err error) {
	token, bearer := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	if token == "" || bearer && !isToken(token) {
		return c, &refusal{http.StatusUnauthorized, "invalid_api_token"}
	}
	for _, name := range []string{
		"Content-Type", "User-Agent", "PostHog-Sdk-Info", "PostHog-Attempt", "PostHog-Request-Id", "PostHog-Request-Timestamp",
	} {
		if header.Get(name) == "" {
			return c, badRequest("missing_required_headers")
		}
	}
	attempt, _ := strconv.Atoi(header.Get("PostHog-Attempt"))
	encoding := cmp.Or(header.Get("Content-Encoding"), "gzip")
	switch _, err := time.Parse(time.RFC3339, header.Get("PostHog-Request-Timestamp")); {
	case header.Get("Content-Type") != "application/json" || encoding != "gzip":
		return c, &refusal{http.StatusUnsupportedMediaType, "unsupported_encoding"}
	case !bearer, attempt < 1, err != nil, uuid.Validate(header.Get("PostHog-Request-Id")) != nil:
		return c, badRequest("invalid_header_value")
	}
	if err = c.unpack(body, header.Get("Content-Encoding") != ""); err != nil {
		return c, err
	}
	if c.CreatedAt == nil || c.Batch == nil {
		return c, badRequest("request_parsing_error")
	}
	seen := map[string]bool{}
	for _, raw := range c.Batch {
		id, isEvent := c.read(raw, true)
		switch {
		case !isEvent:
			return c, badRequest("request_parsing_error")
		case id == "":
			return c, badRequest("invalid_event_uuid")
		case seen[id]:
			return c, badRequest("duplicate_event_uuid")
		}
		seen[id] = true
	}
	if len(seen) == 0 {
		return c, badRequest("empty_batch")
	}
	return c, nil
}

// readBatch reads a request as /batch/ does.
func readBatch(body []byte) (c capture, err error) {
	if err = c.unpack(body, bytes.HasPrefix(body, []byte{0x1f, 0x8b})); err != nil { // whatever the header says
		return c, err
	}
	if !isToken(c.Key) {
		return c, &refusal{http.StatusUnauthorized, "the api_key is missing, or not a project's"}
	}
	for i, raw := range c.Batch {
		if id, isEvent := c.read(raw, false); id == "" || !isEvent {
			return c, badRequest("message %d is no event, or has no uuid", i+1)
		}
	}
	if len(c.messages) == 0 {
		return c, badRequest("the batch is empty")
	}
	return c, nil
}

// read reads an event, notes what is wrong with it, and returns its uuid, which is "" if it is none.
func (c *capture) read(raw json.RawMessage, v1 bool) (id string, isEvent bool) {
	e := map[string]any{"options": map[string]any{}, "properties": map[string]any{}} // which may be missing
	err := json.Unmarshal(raw, &e)
	name, hasName := e["event"].(string)
	stamp, hasTime := e["timestamp"].(string)
	sent, hasUUID := e["uuid"].(string)
	if err != nil || !hasName || !hasTime || !hasUUID {
		return "", false
	}
	distinct, _ := e["distinct_id"].(string)
	properties, hasProperties := e["properties"].(map[string]any)
	options, hasOptions := e["options"].(map[string]any)
	profile, hasProfile := options["process_person_profile"].(bool)
	keep, hasKeep := options["disable_skew_correction"].(bool)
	badOptions := !hasOptions || !hasProfile && options["process_person_profile"] != nil ||
		!hasKeep && options["disable_skew_correction"] != nil
	at, err := time.Parse(time.RFC3339, stamp)
	m := Message{Event: name, DistinctID: strings.TrimSpace(distinct), Timestamp: at.UTC(), Raw: raw, timeless: v1 && !keep}
	if id, err := uuid.Parse(sent); err == nil {
		m.UUID = id.String()
	}
	if inner, _ := properties["distinct_id"].(string); !v1 {
		m.DistinctID = cmp.Or(m.DistinctID, inner)
	}
	if m.IsAlias() {
		m.Alias, _ = properties["alias"].(string)
	}
	m.personless = hasProfile && !profile || !hasProfile && properties["$process_person_profile"] == false
	wrong := ""
	for _, rule := range []struct {
		broken bool
		tag    string
	}{
		{m.Event == "", "missing_event_name"}, {len(m.Event) > 200, "event_name_too_long"},
		{m.DistinctID == "", "missing_distinct_id"}, {len(m.DistinctID) > 200, "distinct_id_too_large"},
		{err != nil, "invalid_event_timestamp"}, {!hasProperties, "malformed_event_properties"},
		{v1 && badOptions, "invalid_options"},
		{len(raw)+bytes.Count(raw, []byte(`"`))+bytes.Count(raw, []byte(`\`)) > 1_000_000, "event_too_big"}, // quoted once more
	} {
		if rule.broken && wrong == "" {
			wrong = "drop:" + rule.tag
		}
	}
	c.messages, c.results = append(c.messages, m), append(c.results, wrong)
	return m.UUID, true
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
