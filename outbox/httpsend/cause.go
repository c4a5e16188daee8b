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
	"strconv"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Cause is why a request did not get the answer of the server that it was meant for. Code is one of
// outbox's, Reason what was seen beside that, in fixed words: an error's own text may hold a host, a path or a
// proxy's password.
type Cause struct{ Code, Reason string }

// CauseOf tells why a request that ctx may have ended failed with err, an error of net/http. That a
// proxy refused to connect is known of the transport that [Transport] makes.
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
		return Cause{outbox.CodeCertificate, "certificate for another name"}
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

// CauseOfAnswer tells who answered in the server's place: a proxy, the page of a network, whoever
// redirects. page says that the answer is a page for people. It is false for an answer that may be the
// server's own.
func CauseOfAnswer(status int, page bool) (Cause, bool) {
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

func isSuccess(status int) bool { return status >= 200 && status < 300 }

func httpStatus(status int) string { return "HTTP " + strconv.Itoa(status) }

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// viaProxy reports whether it was the proxy that could not be connected to.
func viaProxy(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "proxyconnect"
}

// proxyRefusal is the answer of a proxy that does not connect, an HTTP status.
type proxyRefusal struct{ status int }

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
	return &proxyRefusal{answer.StatusCode}
}
