package secrets

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// The errors of this package that are for people say what happened, and behind a last "; " what
// to do about it.

// ErrNotEngine is an answer that no Engine gives: a captive portal's page, another program.
var ErrNotEngine = errors.New("what answers there is not an Arcade Engine; check --host and --port")

// ErrBadToken is a token that no header can carry, such as one with a line break in it.
var ErrBadToken = errors.New("the API key has a character in it that no key has; check ARCADE_API_KEY, or run `arcade login`")

// ErrNoSuchSecret is the result for a key that the Engine has no secret of.
var ErrNoSuchSecret = errors.New("no such secret")

// StatusError is the Engine's refusal. It holds nothing that the server wrote.
type StatusError struct {
	Status int // HTTP status, never 2xx
}

func (e *StatusError) Error() string {
	what, advice, found := strings.Cut(e.explanation(), "; ")
	what = fmt.Sprintf("%s (HTTP %d)", what, e.Status)
	if !found {
		return what
	}
	return what + "; " + advice
}

func (e *StatusError) explanation() string {
	switch {
	case e.Status >= 300 && e.Status < 400:
		return "the Engine answers with a redirect, which is not followed with a key; check --host, --port and --tls"
	case e.Status == http.StatusUnauthorized:
		return "the Engine does not accept the credentials; run `arcade login`, or check ARCADE_API_KEY"
	case e.Status == http.StatusForbidden:
		return "these credentials do not permit it; ask an administrator of the project"
	case e.Status == http.StatusNotFound:
		return "the Engine does not know it; check --host, and that the project still exists"
	case e.Status == http.StatusProxyAuthRequired:
		return "the proxy wants a user name and a password; put them into HTTP_PROXY or HTTPS_PROXY"
	case e.Status == http.StatusRequestEntityTooLarge:
		return "the value is too large for the Engine; give a shorter one"
	case e.Status == http.StatusTooManyRequests:
		return "too many requests; try again in a while"
	case e.Status >= 500:
		return "the Engine has a problem; try again in a while"
	}
	return "the Engine refuses the request; check the name of the key"
}

// ConnectionError says that no answer came, and why, in fixed words: the text of an error
// of the HTTP library can hold what the server sent.
type ConnectionError struct {
	Host   string // of the Engine, with its port if it has one
	Reason Reason
}

// Reason is why no answer came. Each says what to do.
type Reason string

// What a [ConnectionError] can complain about.
const (
	UnknownHost Reason = "the name is not known; check --host and the network"
	NoListener  Reason = "no connection can be made; check --host, --port and the network"
	NoProxy     Reason = "the proxy cannot be reached; check HTTPS_PROXY"
	NoTLS       Reason = "it does not speak TLS; if that is right, use --no-tls"
	Untrusted   Reason = "its TLS certificate is not trusted; check --host, or name your authority's certificate in SSL_CERT_FILE"
	TimedOut    Reason = "it does not answer in time; try again"
	Broken      Reason = "the connection broke before a whole answer came; check --host and any proxy, and try again"
)

func (e *ConnectionError) Error() string {
	return fmt.Sprintf("cannot reach the Engine at %s: %s", Printable(e.Host), e.Reason)
}

func connectionError(host string, err error) error {
	return &ConnectionError{Host: host, Reason: reason(err)}
}

func reason(err error) Reason {
	var (
		network     net.Error
		name        *net.DNSError
		operation   *net.OpError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &operation) && operation.Op == "proxyconnect":
		return NoProxy
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return TimedOut
	case errors.As(err, &name):
		return UnknownHost
	case errors.As(err, &certificate):
		return Untrusted
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return NoTLS
	case operation != nil && operation.Op == "dial":
		return NoListener
	}
	return Broken
}

// mayRetry reports whether a second attempt may fare better at once. What is not one of
// the known reasons counts as a broken connection: HTTP/2 has errors without a type.
func mayRetry(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Status >= http.StatusBadGateway && status.Status <= http.StatusGatewayTimeout
	}
	var connection *ConnectionError
	return errors.As(err, &connection) && connection.Reason == Broken
}
