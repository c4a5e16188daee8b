package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"time"
)

// Sink puts messages on a wire. One goroutine at a time calls Encode and Send; the other methods may be called
// beside them.
type Sink interface {
	// Endpoint names where messages go, without secrets. What is learned about it (the batch size, a
	// Memo, that it has accepted something) is kept under this name. It is "" when there is no such
	// place, see Check.
	Endpoint() string
	// Check says, without any request, why nothing can be sent: there is no key, or the address is
	// wrong in itself. Its error is an *Unusable; nil means that nothing is in the way.
	Check() error
	// Encode makes the body of one request of the first messages, as many as one request may carry:
	// at least one. It says how many those are, and the body belongs to the caller. An *Unsendable
	// names the first of them that can never be sent; then there is no body. Another error is that of a message
	// which is found by smaller requests, and dead when it has failed alone in three runs within an hour or more.
	Encode(messages []Message) (body []byte, n int, err error)
	// Send sends a request and judges the answer, at the latest when ctx ends. It has no time limit
	// of its own.
	Send(ctx context.Context, r Request) Answer
	// Wire returns a message exactly as it goes over the wire. The error is an *Unsendable for one that can
	// never be sent, such as one that is longer than the server takes.
	Wire(m Message) (json.RawMessage, error)
}

// wire asks the sink for a message's wire form. A held one has that of its anon id.
func wire(sink Sink, m Message) (json.RawMessage, error) {
	m.DistinctID = cmp.Or(m.DistinctID, m.AnonID)
	return sink.Wire(m)
}

// Request is one request to a server.
type Request struct {
	Body     []byte    // from Encode
	Messages []Message // that Body holds, in its order
	Memo     string    // of this endpoint's acceptance, for a week after it; or ""
}

// Answer is what became of a request: a verdict for each message, or one for all of them.
type Answer struct {
	Verdict                  // of the request as a whole; counts when Each is nil
	Each       []Verdict     // of each message, in the order of Request.Messages: Accepted, Refused or Later
	RetryAfter time.Duration // how long the server asked to be left alone, at most an hour; 0: it did not
	// Proven means that the answer itself shows that it is the server's, and no proxy's or portal's.
	Proven bool
	// Memo is for the next Request to this endpoint, if this one was accepted: such as the protocol
	// that the server understands. The outbox keeps it for a week.
	Memo string
}

// Outcome is what an answer means for a message, or for a request as a whole.
type Outcome int

// The outcomes. The zero Outcome is none of them.
const (
	Accepted   Outcome = iota + 1 // the server has it
	Refused                       // the server will never take it: of one message only
	Fewer                         // not this many at once, or one of them is bad: of a request only
	NotAllowed                    // the server does not take the sender's key (HTTP 401, 403): of a request only
	Later                         // not known; it stays as it is
)

// Verdict is an outcome with its reason.
type Verdict struct {
	Outcome Outcome
	// Code identifies the kind of reason for programs, one of the Code constants, or the server's own
	// tag for a message that it refused. It is "" when the message was accepted.
	Code string
	// Reason is what was seen, in fixed words of at most 200 bytes: what a server sends is never repeated.
	Reason string
}

// Why messages were not accepted, or cannot be sent at all. Programs may depend on these words.
const (
	CodeNoKey         = "no_key"         // no key is set
	CodeAddress       = "address"        // the address is wrong in itself
	CodeOffline       = "offline"        // the server cannot be reached: name not found, connection refused, no route
	CodeTimeout       = "timeout"        // no answer in time
	CodeBroken        = "broken"         // the connection broke before the answer was complete
	CodeInterrupted   = "interrupted"    // the sender was told to stop
	CodeProxy         = "proxy"          // the proxy cannot be reached, or did not let the request through
	CodeProxyPassword = "proxy_password" // the proxy asks for a password
	CodeAuthority     = "authority"      // the certificate was signed by an unknown authority
	CodeCertificate   = "certificate"    // the certificate is not valid: such as expired
	CodePortal        = "portal"         // a page answered with success in the server's place
	CodeRedirect      = "redirect"       // the answer sends the request elsewhere; it does not go there
	CodeForeign       = "foreign"        // an answer that the server itself never gives
	CodeKey           = "key"            // the server does not take the key
	CodeQuota         = "quota"          // the quota is used up
	CodeRetryAfter    = "retry_after"    // the server asks to be left alone for a while
	CodeServer        = "server"         // the server has a fault of its own (HTTP 408, 5xx)
	CodeRefused       = "refused"        // the server will never take this request
	CodeTimeUp        = "time_up"        // the run's own time is up; no sink says so
	CodeSink          = "sink"           // the sink breaks its own rules; no sink says so

	CodeCertificateName = "certificate_name" // the certificate is for another name
)

// Unsendable is the error of a message that can never be put on the wire.
type Unsendable struct {
	Index  int    // its place among the messages that were to be encoded
	Reason string // fixed words, at most 200 bytes
}

func (u *Unsendable) Error() string { return u.Reason }

// Unusable is the error of a sink that cannot send anything, whatever the network is like.
type Unusable struct {
	Code    string // CodeNoKey, CodeKey or CodeAddress
	Reason  string // what is wrong, in fixed words
	Example string // what a right one looks like, or ""
}

func (u *Unusable) Error() string {
	if u.Example == "" {
		return u.Reason
	}
	return u.Reason + "; a right one looks like " + u.Example
}
