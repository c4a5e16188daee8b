package httpsend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Cause is why a request got no answer of its server: one of outbox's codes, and what was seen, in fixed
// words. An error's own text may hold a host, a path or a proxy's password.
type Cause struct{ Code, Reason string }

// CauseOf returns the cause of err, an error of net/http from a request under ctx. It knows the refusal of a
// proxy only from a [Transport].
func CauseOf(ctx context.Context, err error) Cause {
	var (
		refusal     *proxyRefusal
		dns         *net.DNSError
		unknownCA   x509.UnknownAuthorityError
		invalid     x509.CertificateInvalidError
		otherName   x509.HostnameError
		certificate *tls.CertificateVerificationError
		plain       tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(ctx.Err(), context.Canceled):
		return Cause{outbox.CodeInterrupted, "interrupted"}
	case errors.As(err, &refusal):
		return refusal.cause()
	case errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil, timedOut(err):
		return Cause{outbox.CodeTimeout, "no answer in time"}
	case errors.As(err, &unknownCA):
		return Cause{outbox.CodeAuthority, "certificate signed by an unknown authority"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired: // or too early
		return Cause{outbox.CodeCertificate, "certificate expired, or not valid yet"}
	case errors.As(err, &otherName):
		return Cause{outbox.CodeCertificateName, "certificate for another name"}
	case errors.As(err, &certificate):
		return Cause{outbox.CodeCertificate, "certificate not valid"}
	case errors.As(err, &plain), errors.Is(err, http.ErrSchemeMismatch):
		return Cause{outbox.CodeForeign, "something that does not speak TLS answered"}
	case viaProxy(err):
		return Cause{outbox.CodeProxy, "the proxy cannot be reached"}
	case errors.As(err, &dns):
		return Cause{outbox.CodeOffline, "name not found"}
	case errors.Is(err, connectionRefused):
		return Cause{outbox.CodeOffline, "connection refused"}
	case errors.Is(err, networkUnreachable), errors.Is(err, hostUnreachable):
		return Cause{outbox.CodeOffline, "network unreachable"}
	case errors.Is(err, connectionReset), errors.Is(err, connectionBroken):
		return Cause{outbox.CodeBroken, "connection reset"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return Cause{outbox.CodeBroken, "connection closed early"}
	}
	return Cause{outbox.CodeBroken, "network error"}
}

// CauseOfAnswer returns the cause when a proxy, a network's page or a redirect answered in the server's place.
// known is false for an answer that may be the server's own.
func CauseOfAnswer(status int, page bool) (cause Cause, known bool) {
	switch {
	case status == http.StatusProxyAuthRequired:
		return Cause{outbox.CodeProxyPassword, httpStatus(status)}, true
	case status == http.StatusNetworkAuthenticationRequired, page && isSuccess(status):
		return Cause{outbox.CodePortal, httpStatus(status)}, true
	case status >= 300 && status < 400:
		return Cause{outbox.CodeRedirect, httpStatus(status)}, true
	case page && status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
		return Cause{outbox.CodeForeign, "a page, " + httpStatus(status)}, true
	}
	return Cause{}, false
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// viaProxy reports whether it was the proxy that could not be connected to.
func viaProxy(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "proxyconnect"
}

// proxyRefusal is the answer of a proxy that does not connect.
type proxyRefusal struct {
	status     int // HTTP's
	retryAfter time.Duration
}

func (r *proxyRefusal) Error() string { return r.cause().Reason }

func (r *proxyRefusal) cause() Cause {
	if cause, known := CauseOfAnswer(r.status, false); known && cause.Code == outbox.CodeProxyPassword {
		return cause
	}
	return Cause{outbox.CodeProxy, httpStatus(r.status)}
}

// refusalOf is a transport's OnProxyConnectResponse. net/http's own error for it has nothing but the
// proxy's words.
func refusalOf(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyRefusal{answer.StatusCode, retryAfter(answer.Header.Get("Retry-After"), time.Now())}
}
