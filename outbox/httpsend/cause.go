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
	"syscall"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// windowsRefused is what sockets return on Windows, where package syscall's ECONNREFUSED is invented.
// https://learn.microsoft.com/windows/win32/winsock/windows-sockets-error-codes-2
const windowsRefused = syscall.Errno(10061)

// CauseOf returns the cause of err, an error of net/http from a request under ctx. It knows the refusal of a
// proxy only from a [Transport].
func CauseOf(ctx context.Context, err error) Cause {
	proxy, refused := errors.AsType[*proxyRefusal](err)
	certificate, _ := errors.AsType[x509.CertificateInvalidError](err)
	timeout, isNetwork := errors.AsType[net.Error](err)
	operation := ""
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		operation = failed.Op
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(ctx.Err(), context.Canceled):
		return Cause{outbox.CodeInterrupted, "interrupted"}
	case refused && proxy.Status == http.StatusProxyAuthRequired:
		return Cause{outbox.CodeProxyPassword, proxy.seen()}
	case refused:
		return Cause{outbox.CodeProxy, proxy.seen()}
	case errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil, isNetwork && timeout.Timeout():
		return Cause{outbox.CodeTimeout, "no answer in time"}
	case is[x509.UnknownAuthorityError](err):
		return Cause{outbox.CodeAuthority, "certificate signed by an unknown authority"}
	case certificate.Reason == x509.Expired: // or too early
		return Cause{outbox.CodeCertificate, "certificate expired, or not valid yet"}
	case is[x509.HostnameError](err):
		return Cause{outbox.CodeCertificateName, "certificate for another name"}
	case is[*tls.CertificateVerificationError](err):
		return Cause{outbox.CodeCertificate, "certificate not valid"}
	case is[tls.RecordHeaderError](err), errors.Is(err, http.ErrSchemeMismatch):
		return Cause{outbox.CodeForeign, "something that does not speak TLS answered"}
	case operation == "proxyconnect":
		return Cause{outbox.CodeProxy, "the proxy cannot be reached"}
	case is[*net.DNSError](err):
		return Cause{outbox.CodeOffline, "name not found"}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, windowsRefused):
		return Cause{outbox.CodeOffline, "connection refused"}
	case operation == "dial":
		return Cause{outbox.CodeOffline, "network unreachable"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return Cause{outbox.CodeBroken, "connection closed early"}
	case operation == "read", operation == "write":
		return Cause{outbox.CodeBroken, "connection reset"}
	}
	return Cause{outbox.CodeBroken, "network error"}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// proxyRefusal is the answer of a proxy that does not connect, without its words.
type proxyRefusal struct{ Answer }

func (r *proxyRefusal) Error() string { return "the proxy answers with " + r.seen() }

// refusalOf is a transport's OnProxyConnectResponse. net/http's own error for it has nothing but the
// proxy's words.
func refusalOf(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyRefusal{newAnswer(answer.StatusCode, answer.Header, nil)}
}
