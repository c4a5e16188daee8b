package secrets

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The errors of this package that are for people say what happened, and behind a last "; " what
// to do about it.

// ErrNotEngine is an answer that no Engine gives: a captive portal's page, another program.
var ErrNotEngine = errors.New("what answers there is not an Arcade Engine; check --host and --port")

// ErrBadToken is a token that no header can carry, such as one with a line break in it.
var ErrBadToken = errors.New("the API key has a character in it that no key has; check ARCADE_API_KEY, or run 'arcade login'")

// ErrReported is an answer that says that all went well and reports an error in its text.
var ErrReported = errors.New("the Engine reports an error in an answer that says that all went well; try again in a while")

// ErrListTooLong is a list with more than 100,000 secrets or 64 MB.
var ErrListTooLong = errors.New("the list of secrets has no end within 100,000 secrets or 64 MB; check --host and --port")

// ErrListIncomplete is a list of which the Engine sends the same page again and again.
var ErrListIncomplete = errors.New("the Engine does not send the whole list of secrets; try again in a while")

// ErrNotTried is the result for a key that was not sent, because an earlier one has shown that it
// would fare no better, or because the context has ended.
var ErrNotTried = errors.New("not tried")

// ErrNoSuchSecret is the result for a key that the Engine has no secret of.
var ErrNoSuchSecret = errors.New("no such secret")

// AmbiguousKeyError is the result for a key of which there are several secrets.
type AmbiguousKeyError struct {
	Key   string
	Types []string // of their bindings, one for each secret, as the Engine wrote them
}

func (e *AmbiguousKeyError) Error() string {
	var types []string
	for _, name := range e.Types {
		if name = cmp.Or(Printable(name), "none"); !slices.Contains(types, name) {
			types = append(types, name)
		}
	}
	if len(types) == 1 {
		return fmt.Sprintf("there are %d secrets with this key, all of the type %s; delete them with --all-types", len(e.Types), types[0])
	}
	return fmt.Sprintf("there are %d secrets with this key, of the types %s; choose one with --type, or delete all with --all-types",
		len(e.Types), strings.Join(types, ", "))
}

// Action is what was asked of the Engine when it refused.
type Action int

// The actions of a [StatusError].
const (
	Listing Action = iota
	Setting
	Deleting
)

// StatusError is the Engine's refusal. It holds nothing that the server wrote but numbers.
type StatusError struct {
	Status     int // HTTP status, never 2xx
	Action     Action
	RetryAfter time.Duration // that the Engine wants us to wait; 0 when it does not say
}

func (e *StatusError) Error() string {
	what, advice, _ := strings.Cut(e.explanation(), "; ")
	return fmt.Sprintf("%s (HTTP %d); %s", what, e.Status, advice)
}

func (e *StatusError) explanation() string {
	switch {
	case e.Status >= 300 && e.Status < 400:
		return "the Engine answers with a redirect, which is not followed with a key; check --host, --port and --tls"
	case e.Status == http.StatusUnauthorized:
		return "the Engine does not accept the credentials; run 'arcade login', or check ARCADE_API_KEY"
	case e.Status == http.StatusForbidden:
		return "these credentials do not permit it; ask an administrator of the project"
	case e.Status == http.StatusNotFound:
		return "the Engine does not know this project; check --host, and that the project still exists"
	case e.Status == http.StatusProxyAuthRequired:
		return "the proxy wants a user name and a password; put them into HTTP_PROXY or HTTPS_PROXY"
	case e.Status == http.StatusTooManyRequests:
		return "too many requests; " + e.later()
	case e.Status >= 500:
		return "the Engine has a problem; " + e.later()
	case e.Action == Setting:
		return e.refusedToSet()
	case e.Status == http.StatusConflict:
		return "somebody else is changing it; try again"
	}
	return "the Engine refuses the request; check --host, and whether there is a newer arcade"
}

func (e *StatusError) refusedToSet() string {
	switch e.Status {
	case http.StatusConflict:
		return "the Engine has this key in use already; look at 'arcade secret list', or unset it first"
	case http.StatusRequestEntityTooLarge:
		return "the value is too large for the Engine; give a shorter one"
	case http.StatusRequestURITooLong:
		return "the key is too long for the Engine; give a shorter one"
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "the Engine refuses this key or its value; check the name of the key, and that the value is what you meant"
	}
	return "the Engine refuses the request; check --host, and whether there is a newer arcade"
}

// endsRun reports whether other keys would fare no better than the one that met err: what is
// wrong is the way to the Engine or the credentials, and not the key.
func endsRun(err error) bool {
	var refused *StatusError
	var connection *ConnectionError
	switch {
	case errors.As(err, &refused):
		status := refused.Status
		return status < 400 || status == http.StatusUnauthorized || status == http.StatusForbidden ||
			status == http.StatusProxyAuthRequired || asksToWait(err)
	case errors.As(err, &connection):
		return connection.Reason != Broken
	}
	return errors.Is(err, ErrNotEngine) || errors.Is(err, ErrBadToken)
}

// isNotFound reports whether there is no such address. Whoever sets a key asks for none that exists.
func isNotFound(err error) bool {
	var refused *StatusError
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound
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
		return status.Status == http.StatusBadGateway || status.Status == http.StatusGatewayTimeout
	}
	var connection *ConnectionError
	return errors.As(err, &connection) && connection.Reason == Broken
}
