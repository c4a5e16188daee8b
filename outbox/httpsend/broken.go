package httpsend

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// askedForPassword is the reason for a 407, which comes as an answer to a plain request and as an
// error to one with TLS.
const askedForPassword = "the proxy asks for a password"

// broken puts a network error into fixed words: its own text may hold a host, a path or a proxy's
// password.
func broken(ctx context.Context, err error) outbox.Verdict {
	var dns *net.DNSError
	var unknownCA x509.UnknownAuthorityError
	var certificate *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(ctx.Err(), context.Canceled):
		return later(outbox.CodeInterrupted, "interrupted")
	case errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil, timedOut(err):
		return later(outbox.CodeTimeout, "no answer in time")
	case errors.As(err, &unknownCA):
		return later(outbox.CodeAuthority, "certificate signed by an unknown authority")
	case errors.As(err, &certificate):
		return later(outbox.CodeCertificate, "certificate not valid")
	case errors.As(err, &plain):
		return Foreign("something that does not speak TLS answered")
	case viaProxy(err):
		return later(outbox.CodeProxy, "the proxy cannot be reached")
	case errors.As(err, &dns):
		return later(outbox.CodeOffline, "name not found")
	case errors.Is(err, connectionRefused):
		return later(outbox.CodeOffline, "connection refused")
	case errors.Is(err, networkUnreachable), errors.Is(err, hostUnreachable):
		return later(outbox.CodeOffline, "network unreachable")
	case errors.Is(err, connectionReset), errors.Is(err, connectionBroken):
		return later(outbox.CodeBroken, "connection reset")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return later(outbox.CodeBroken, "connection closed early")
	default:
		return brokenByProxy(err)
	}
}

// viaProxy reports whether it was the proxy that could not be connected to.
func viaProxy(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "proxyconnect"
}

// brokenByProxy recognises net/http's refusal of a CONNECT, whose text is the proxy's status text
// and nothing else.
func brokenByProxy(err error) outbox.Verdict {
	if strings.HasSuffix(err.Error(), http.StatusText(http.StatusProxyAuthRequired)) {
		return later(outbox.CodeProxyPassword, askedForPassword)
	}
	for _, status := range []int{http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		if strings.HasSuffix(err.Error(), http.StatusText(status)) {
			return later(outbox.CodeProxy, "the proxy did not let the request through")
		}
	}
	return later(outbox.CodeBroken, "network error")
}
