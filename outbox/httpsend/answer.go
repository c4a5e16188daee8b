package httpsend

import (
	"bytes"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answerLimit bounds what is read of an answer, in bytes. PostHog's on 2,000 messages has 112,000.
const answerLimit = 1 << 20

// longestWait bounds a Retry-After: whatever a server says, some process asks again within the hour.
const longestWait = time.Hour

// Answer is an HTTP answer, read to its end or to 1 MiB.
type Answer struct {
	Status     int
	Body       []byte
	Page       bool          // it is a page for people, by its type or its first character, or has no end
	RetryAfter time.Duration // how long the server asked to be left alone, at most an hour
}

func newAnswer(status int, header http.Header, body []byte) Answer {
	return Answer{
		Status: status, Body: body, Page: len(body) > answerLimit || isPage(header.Get("Content-Type"), body),
		RetryAfter: retryAfter(header.Get("Retry-After"), time.Now()),
	}
}

// isPage recognizes what no server that takes events answers with.
func isPage(contentType string, body []byte) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	text := bytes.TrimPrefix(body, []byte("\ufeff"))
	return kind == "text/html" || kind == "application/xhtml+xml" || bytes.HasPrefix(bytes.TrimSpace(text), []byte("<"))
}

// asksToWait reports whether a server, or a proxy in front of it, is busy and not broken.
func asksToWait(status int, retryAfter time.Duration) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable && retryAfter > 0
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
