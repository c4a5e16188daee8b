package posthog

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
)

// answerV1 is what capture v1 answers with: what became of each message, by its uuid, or why it refuses
// them all.
type answerV1 struct {
	Results  map[string]result `json:"results"`
	Error    string            `json:"error"`
	ErrorURI string            `json:"error_uri"` // PostHog's alone
}

type result struct {
	Result  string `json:"result"`
	Details string `json:"details"` // a tag
}

// final are the tags of the drops that are the message's own fault. The others come from a quota, a rate, or how
// the server is set up.
var final = [...]string{
	"missing_event_name", "event_name_too_long", "missing_distinct_id", "distinct_id_too_large", "invalid_event_timestamp",
	"malformed_event_properties", "invalid_options", "event_too_big", "serialization_failed", "rejected",
	"event_restriction_drop", "gateway_props_unparseable", "ai_event_too_big",
}

// judgeV1 says what an answer to a request by capture v1 means, which was judged by its status. here is false
// for one that does not come from capture v1, but from an older PostHog, or from a proxy that knows the old path
// only or takes headers away.
func judgeV1(a httpsend.Answer, judged outbox.Answer, messages []outbox.Message) (answer outbox.Answer, here bool) {
	var said answerV1
	if !a.Page {
		_ = json.Unmarshal(a.Body, &said) // what has another type, or is no JSON, is left out
	}
	if a.Status == http.StatusOK && said.Results != nil {
		return judgeEach(said.Results, messages, a.RetryAfter), true
	}
	answer = judged
	answer.Proven = said.ErrorURI != ""
	switch status := a.Status; {
	case status == http.StatusTooManyRequests && said.Error == "billing_limit_exceeded":
		answer.Verdict = overQuota()
		return answer, true
	case status >= 300 && status < 400, status >= 500, status == http.StatusProxyAuthRequired,
		status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return answer, true
	case status == http.StatusRequestEntityTooLarge && !a.Page:
		return answer, true
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed,
		said.Error == "missing_required_headers", said.Error == "invalid_header_value":
		return answer, false
	}
	return answer, answer.Proven
}

func judgeEach(results map[string]result, messages []outbox.Message, wait time.Duration) outbox.Answer {
	answer := outbox.Answer{Each: make([]outbox.Verdict, len(messages)), RetryAfter: wait}
	for i, m := range messages {
		r, named := results[m.UUID]
		answer.Each[i] = r.verdict()
		answer.Proven = answer.Proven || named
	}
	return answer
}

// verdict says what a result means. The zero result is none.
func (r result) verdict() outbox.Verdict {
	switch {
	case r.Result == "ok", r.Result == "warning":
		return outbox.Verdict{Outcome: outbox.Accepted}
	case r.Result == "retry":
		return later(outbox.CodeServer, "not kept at this moment")
	case r.Result != "drop":
		return later(outbox.CodeForeign, "an answer without PostHog's receipt for it")
	case slices.Contains(final[:], r.Details):
		return outbox.Verdict{Outcome: outbox.Refused, Code: r.Details, Reason: "refused (" + r.Details + ")"}
	case strings.HasSuffix(r.Details, "over_quota"), r.Details == "billing_limit_exceeded":
		return overQuota()
	case strings.HasSuffix(r.Details, "rate_limited"):
		return later(outbox.CodeRetryAfter, "no more at this moment")
	default:
		return later(outbox.CodeServer, "dropped for a reason of its own")
	}
}

func overQuota() outbox.Verdict {
	return later(outbox.CodeQuota, "over quota")
}

func later(code, reason string) outbox.Verdict {
	return outbox.Verdict{Outcome: outbox.Later, Code: code, Reason: reason}
}

// judgeBatch accepts only what PostHog says at /batch/. Only 200 is a success there.
func judgeBatch(a httpsend.Answer) (v outbox.Verdict) {
	var answer struct {
		Status       any              `json:"status"`
		QuotaLimited *json.RawMessage `json:"quota_limited"`
	}
	if a.Status != http.StatusOK || json.Unmarshal(a.Body, &answer) != nil {
		return v
	}
	if answer.QuotaLimited != nil {
		return overQuota()
	}
	switch answer.Status {
	case "Ok", "ok", 1.0:
		v.Outcome = outbox.Accepted
	}
	return v
}
