package posthog

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

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
	answer = judged
	answer.Proven = said.ErrorURI != ""
	switch {
	case a.Status == http.StatusOK && said.Results != nil:
		answer = outbox.Answer{RetryAfter: a.RetryAfter}
		for _, m := range messages {
			r, named := said.Results[m.UUID]
			answer.Each = append(answer.Each, r.verdict())
			answer.Proven = answer.Proven || named
		}
		return answer, true
	case a.Status == http.StatusTooManyRequests && said.Error == "billing_limit_exceeded":
		answer.Verdict = later(outbox.CodeQuota, overQuota)
		return answer, true
	case a.Status == http.StatusNotFound, a.Status == http.StatusMethodNotAllowed,
		said.Error == "missing_required_headers", said.Error == "invalid_header_value":
		return answer, false
	case answer.Proven, a.Status == http.StatusRequestEntityTooLarge && !a.Page:
		return answer, true
	}
	// No answer, a redirect, trouble and haste are the same at the other path.
	same := []int{http.StatusProxyAuthRequired, http.StatusRequestTimeout, http.StatusTooManyRequests}
	return answer, a.Status < 200 || a.Status >= 300 && a.Status < 400 || a.Status >= 500 || slices.Contains(same, a.Status)
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
		return later(outbox.CodeQuota, overQuota)
	case strings.HasSuffix(r.Details, "rate_limited"):
		return later(outbox.CodeRetryAfter, "no more at this moment")
	default:
		return later(outbox.CodeServer, "dropped for a reason of its own")
	}
}

const overQuota = "over quota"

func later(code, reason string) outbox.Verdict {
	return outbox.Verdict{Outcome: outbox.Later, Code: code, Reason: reason}
}

// judgeBatch accepts only what PostHog says at /batch/. Only 200 is a success there.
func judgeBatch(a httpsend.Answer) (v outbox.Verdict) {
	var answer struct {
		Status       any              `json:"status"`
		QuotaLimited *json.RawMessage `json:"quota_limited"`
	}
	switch err := json.Unmarshal(a.Body, &answer); {
	case a.Status != http.StatusOK || err != nil:
		return v
	case answer.QuotaLimited != nil:
		return later(outbox.CodeQuota, overQuota)
	case answer.Status == "Ok", answer.Status == "ok", answer.Status == 1.0:
		v.Outcome = outbox.Accepted
	}
	return v
}
