package outbox

import (
	"context"
	"encoding/json"
	"time"
)

// Sink puts messages on a wire. It is used by one goroutine at a time, but Encode may run while
// Send is under way.
type Sink interface {
	// Endpoint names where messages go, without secrets. What it has accepted before is remembered
	// under this name. It is "" when there is no such place, see Check.
	Endpoint() string
	// Check says, without any request, why nothing can be sent: there is no key, or the address is
	// wrong in itself. Its error is an *Unusable; nil means that nothing is in the way.
	Check() error
	// Encode makes the body of one request of the first messages, as many as one request may carry:
	// at least one, at most 500. It says how many those are, and the body belongs to the caller. An
	// *Unsendable names the first of them that can never be sent; then there is no body.
	Encode(messages []Message) (body []byte, n int, err error)
	// Send sends a body and judges the answer, at the latest when ctx ends. It has no time limit of
	// its own.
	Send(ctx context.Context, body []byte) Verdict
	// Wire returns a message exactly as Encode puts it on the wire. An undecided message is shown as
	// it would go out if it was its anon id's. The error is an *Unsendable.
	Wire(m Message) (json.RawMessage, error)
}

// Outcome is what the end of a request means for its messages.
type Outcome int

// The outcomes of a request. The zero Outcome is none of them.
const (
	Accepted   Outcome = iota + 1 // the server has them
	Refused                       // at least one of them will never be taken, if it was the server that said so
	NotAllowed                    // the server does not take the sender's key (HTTP 401, 403)
	Later                         // nobody knows; they stay as they are
)

// Verdict is an outcome with its reason.
type Verdict struct {
	Outcome Outcome
	// Code identifies the kind of reason for programs, one of the Code constants. It is "" when the
	// messages were accepted.
	Code string
	// Reason is for people, in fixed words: what a server sends is never repeated.
	Reason string
	// RetryAfter is how long the server asked to be left alone, at most an hour. Zero: it did not.
	RetryAfter time.Duration
}

// Why messages were not accepted, or cannot be sent at all. Programs may depend on these words.
const (
	CodeNoKey         = "no_key"         // no key is set
	CodeAddress       = "address"        // the address is wrong in itself
	CodeOffline       = "offline"        // nobody can be reached: name not found, connection refused, no route
	CodeTimeout       = "timeout"        // no answer in time
	CodeBroken        = "broken"         // the connection broke before the answer was complete
	CodeInterrupted   = "interrupted"    // the sender was told to stop
	CodeProxy         = "proxy"          // the proxy cannot be reached, or did not let the request through
	CodeProxyPassword = "proxy_password" // the proxy asks for a password
	CodeAuthority     = "authority"      // the certificate was signed by an unknown authority
	CodeCertificate   = "certificate"    // the certificate is not valid: expired, for another name
	CodePortal        = "portal"         // a page answered with success in the server's place
	CodeRedirect      = "redirect"       // somebody sent the request elsewhere; it does not go there
	CodeForeign       = "foreign"        // an answer that the server itself never gives
	CodeKey           = "key"            // the server does not take the key
	CodeQuota         = "quota"          // the quota is used up
	CodeRetryAfter    = "retry_after"    // the server asks to be left alone for a while
	CodeServer        = "server"         // the server has a fault of its own (HTTP 408, 5xx)
	CodeRefused       = "refused"        // the server will never take this request
	CodeDamaged       = "damaged"        // the queue itself, not the network; no sink says so
)

// Unsendable is the error of a message that can never be put on the wire.
type Unsendable struct {
	Index  int    // its place among the messages that were to be encoded
	Reason string // fixed words
}

func (u *Unsendable) Error() string { return u.Reason }

// Unusable is the error of a sink that cannot send anything, whatever the network is like.
type Unusable struct {
	Code string // CodeNoKey or CodeAddress
	// Reason is a part of a sentence in fixed words. For an address it says what a right one looks
	// like.
	Reason string
}

func (u *Unusable) Error() string { return u.Reason }
