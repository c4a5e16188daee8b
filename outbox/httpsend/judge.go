package httpsend

import (
	"bytes"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// answerLimit bounds what is read of an answer, in bytes. PostHog's on 2,000 messages has 112,000.
const answerLimit = 1 << 20

// longestWait bounds a Retry-After: whatever a server says, somebody asks again within the hour.
const longestWait = time.Hour

// Answer is an HTTP answer that was read to its end, or to just over what is read of one.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Judge says what an answer means.
type Judge struct {
	// Success judges an answer with a status from 200 to 299 that is no page and not too long.
	Success func(Answer) outbox.Verdict
	// Refusals are the statuses by which the server says that it does not take the request as it is.
	Refusals []int
	Now      func() time.Time // for a Retry-After that is a date; nil: time.Now
}

func later(code, reason string) outbox.Verdict {
	return outbox.Verdict{Outcome: outbox.Later, Code: code, Reason: reason}
}

func laterFor(cause Cause) outbox.Verdict { return later(cause.Code, cause.Reason) }

// Foreign is the verdict on an answer that is not the server's own.
func Foreign(reason string) outbox.Verdict { return later(outbox.CodeForeign, reason) }

// Unexpected is the verdict on a status that the server itself never answers with.
func Unexpected(status int) outbox.Verdict { return Foreign(httpStatus(status)) }

// Portal is the verdict on somebody else's success.
func Portal(status int) outbox.Verdict {
	cause, _ := CauseOfAnswer(status, true)
	return laterFor(cause)
}

// Judge says what an answer means, and how long it asks to wait if it means later.
func (j Judge) Judge(a Answer) outbox.Answer {
	v := j.verdict(a)
	if v.Outcome != outbox.Later {
		return outbox.Answer{Verdict: v}
	}
	return outbox.Answer{Verdict: v, RetryAfter: j.RetryAfter(a)}
}

// RetryAfter is how long an answer asks to wait, at most an hour.
func (j Judge) RetryAfter(a Answer) time.Duration {
	now := time.Now
	if j.Now != nil {
		now = j.Now
	}
	return retryAfter(a.Header.Get("Retry-After"), now())
}

func (j Judge) verdict(a Answer) outbox.Verdict {
	status := a.Status
	seen := httpStatus(status)
	if cause, known := CauseOfAnswer(status, a.IsPage() || isSuccess(status) && len(a.Body) > answerLimit); known {
		return laterFor(cause)
	}
	switch {
	case status == http.StatusTooManyRequests:
		return later(outbox.CodeRetryAfter, seen)
	case status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
		return later(outbox.CodeRetryAfter, seen)
	case status == http.StatusRequestTimeout, status >= 500:
		return later(outbox.CodeServer, seen)
	case isSuccess(status):
		return j.Success(a)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return outbox.Verdict{Outcome: outbox.NotAllowed, Code: outbox.CodeKey, Reason: seen}
	case slices.Contains(j.Refusals, status):
		return outbox.Verdict{Outcome: outbox.Fewer, Code: outbox.CodeRefused, Reason: "refused (" + seen + ")"}
	default:
		return Unexpected(status)
	}
}

// IsPage tells a page for people, by its type or by its first character: no program that takes
// events answers with one.
func (a Answer) IsPage() bool {
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if kind == "text/html" || kind == "application/xhtml+xml" {
		return true
	}
	text := bytes.TrimPrefix(a.Body, []byte("\ufeff"))
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("<"))
}

// retryAfter reads the header in both forms of RFC 9110, section 10.2.3. Nonsense and the past
// mean 0.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if isDigits(value) {
		seconds, err := strconv.Atoi(value)
		if err != nil || seconds > int(longestWait/time.Second) { // an error: more than fits
			return longestWait
		}
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), longestWait)
	}
	return 0
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
