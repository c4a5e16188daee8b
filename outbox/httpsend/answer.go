package httpsend

import (
	"bytes"
	"errors"
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
	Status     int
	Body       []byte
	Page       bool          // it is a page for people, by its type or its first character, or has no end
	RetryAfter time.Duration // how long the server asked to be left alone, at most an hour
}

// Cause is why a request got no answer of its server: one of outbox's codes, and what was seen, in fixed
// words. An error's own text may hold a host, a path or a proxy's password.
type Cause struct{ Code, Reason string }

func newAnswer(status int, header http.Header, body []byte) Answer {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	start := bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	return Answer{
		Status: status, Body: body,
		Page: len(body) > answerLimit || kind == "text/html" || kind == "application/xhtml+xml" ||
			bytes.HasPrefix(start, []byte("<")),
		RetryAfter: retryAfter(header.Get("Retry-After"), time.Now()),
	}
}

// Cause returns why this is no answer of the server itself, or why the server asks to come again later. known is false
// for any other answer.
func (a Answer) Cause() (cause Cause, known bool) {
	switch {
	case a.Status == http.StatusProxyAuthRequired:
		return Cause{outbox.CodeProxyPassword, a.seen()}, true
	case a.Status == http.StatusNetworkAuthenticationRequired, a.Page && a.isSuccess():
		return Cause{outbox.CodePortal, a.seen()}, true
	case a.Status >= 300 && a.Status < 400:
		return Cause{outbox.CodeRedirect, a.seen()}, true
	case a.asksToWait():
		return Cause{outbox.CodeRetryAfter, a.seen()}, true
	case a.Status >= 500:
		return Cause{outbox.CodeServer, a.seen()}, true
	case a.Page && a.Status >= 400 && a.Status != http.StatusRequestTimeout:
		return Cause{outbox.CodeForeign, "a page, " + a.seen()}, true
	}
	return Cause{}, false
}

// asksToWait reports whether a server, or a proxy in front of it, is busy and not broken.
func (a Answer) asksToWait() bool {
	return a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable && a.RetryAfter > 0
}

func (a Answer) isSuccess() bool { return a.Status >= 200 && a.Status < 300 }

func (a Answer) seen() string { return "HTTP " + strconv.Itoa(a.Status) }

// retryAfter reads the header in both forms of RFC 9110, section 10.2.3. Nonsense and the past mean 0.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err == nil || errors.Is(err, strconv.ErrRange) { // then it is the largest that fits
		return min(time.Duration(seconds)*time.Second, longestWait)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longestWait)
}
