package outbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// outcome is what a request's end means for its messages.
type outcome int

const (
	accepted  outcome = iota + 1 // PostHog has them
	refused                      // PostHog will never take at least one of them
	later                        // nobody knows; they stay as they are
	withdrawn                    // their user has taken them back; they were not sent
)

// verdict is an outcome with its reason, in fixed words: what a server sends is never stored.
type verdict struct {
	outcome    outcome
	reason     string
	retryAfter time.Duration // 0: the server asked for nothing
}

// Error lets a verdict travel through posthog-go, which passes a transport's error on.
func (v verdict) Error() string { return v.reason }

// answerLimit bounds what is read of an answer, in bytes. PostHog's own has 16.
const answerLimit = 64 << 10

// judge reads an answer to its end. A status alone proves nothing: hotel networks answer 200
// with a page of theirs, and a proxy may break off in the middle.
func judge(response *http.Response, now time.Time) verdict {
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
	switch status := response.StatusCode; {
	case err != nil:
		return verdict{outcome: later, reason: "the answer broke off: " + describe(err)}
	case status == http.StatusOK:
		return judgeBody(response, body, now)
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge:
		return verdict{outcome: refused, reason: "refused with HTTP " + strconv.Itoa(status)}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return verdict{outcome: later, reason: fmt.Sprintf("not allowed (HTTP %d): check ARCADE_USAGE_KEY", status)}
	case status >= 300 && status < 400:
		return verdict{outcome: later, reason: fmt.Sprintf("redirected (HTTP %d): not PostHog's answer", status)}
	default:
		return verdict{outcome: later, reason: "answered with HTTP " + strconv.Itoa(status), retryAfter: retryAfter(response.Header, now)}
	}
}

// judgeBody accepts only what PostHog's capture endpoint says: a JSON object whose status is
// "Ok" or 1, without quota_limited.
func judgeBody(response *http.Response, body []byte, now time.Time) verdict {
	var answer struct {
		Status       any              `json:"status"`
		QuotaLimited *json.RawMessage `json:"quota_limited"`
	}
	if len(body) > answerLimit || json.Unmarshal(body, &answer) != nil {
		return verdict{outcome: later, reason: "something else answered HTTP 200 in PostHog's place (a captive portal?)"}
	}
	if answer.QuotaLimited != nil {
		return verdict{outcome: later, reason: "over PostHog's quota", retryAfter: retryAfter(response.Header, now)}
	}
	switch answer.Status {
	case "Ok", "ok", 1.0:
		return verdict{outcome: accepted}
	}
	return verdict{outcome: later, reason: "HTTP 200 without PostHog's acknowledgement"}
}

// retryAfter reads the header in both forms of RFC 9110, section 10.2.3. Nonsense and the
// past mean 0.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(longestWait/time.Second))) * time.Second
	}
	if isDigits(value) { // more than fits
		return longestWait
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// describe puts a network error into fixed words. The error's own text may hold a host, a
// path or a proxy's password.
func describe(err error) string {
	var dns *net.DNSError
	var unknownCA x509.UnknownAuthorityError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &dns):
		return "name not found"
	case errors.Is(err, connectionRefused):
		return "connection refused"
	case errors.Is(err, connectionReset), errors.Is(err, connectionBroken):
		return "connection reset"
	case errors.Is(err, networkUnreachable), errors.Is(err, hostUnreachable):
		return "network unreachable"
	case errors.As(err, &unknownCA):
		return "certificate signed by an unknown authority"
	case errors.As(err, &certificate):
		return "certificate not valid"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "connection closed early"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	default:
		return describeProxy(err)
	}
}

// describeProxy recognises net/http's refusal of a CONNECT, which is a bare status text.
func describeProxy(err error) string {
	if strings.HasSuffix(err.Error(), http.StatusText(http.StatusProxyAuthRequired)) {
		return "the proxy asks for a password"
	}
	return "network error"
}
