package httpsend

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// answerLimit bounds what is read of an answer, in bytes. PostHog's on 2,000 messages has 112,000.
const answerLimit = 1 << 20

// longestWait bounds a Retry-After: whatever a server says, some process asks again within the hour.
const longestWait = time.Hour

// Answer is an HTTP answer, read to its end or to 1 MiB.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// IsPage recognizes a page for people, by its type or by its first character: a server that takes events
// answers with none.
func (a Answer) IsPage() bool {
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if kind == "text/html" || kind == "application/xhtml+xml" {
		return true
	}
	text := bytes.TrimPrefix(a.Body, []byte("\ufeff"))
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("<"))
}

// Later is the verdict that leaves messages pending. The code is one of outbox's, the reason is in fixed
// words.
func Later(code, reason string) outbox.Verdict {
	return outbox.Verdict{Outcome: outbox.Later, Code: code, Reason: reason}
}

// Unacknowledged is the verdict on a success in which the server's acknowledgement is missing. One that
// is no JSON object comes from a portal.
func Unacknowledged(a Answer) outbox.Verdict {
	if !json.Valid(a.Body) || !bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("{")) {
		return Later(outbox.CodePortal, httpStatus(a.Status))
	}
	return Later(outbox.CodeForeign, httpStatus(a.Status)+" without the server's acknowledgement")
}

func isSuccess(status int) bool { return status >= 200 && status < 300 }

func httpStatus(status int) string { return "HTTP " + strconv.Itoa(status) }

// retryAfter reads the header in both forms of RFC 9110, section 10.2.3. Nonsense and the past mean 0.
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
