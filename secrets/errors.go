package secrets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Problem tells a user in fixed words what is wrong and what to do about it. Every error of this package that a
// user can act on wraps one.
type Problem struct {
	What string // continues "Error: "
	Do   string // whole sentences
}

func (p *Problem) Error() string { return p.What }

var (
	// ErrNotEngine says that another program answered.
	ErrNotEngine = &Problem{"what answers there is not an Arcade Engine", "Check --host and --port."}
	// ErrBadToken is a token that no header can carry, such as one with a line break.
	ErrBadToken = &Problem{"the API key has a character in it that no key has", "Run 'arcade logout', then 'arcade login'."}
	// ErrReported is an error in an answer with a status of success.
	ErrReported = &Problem{"the Engine reports an error in an answer that says that all went well", "Try again in a while."}
	// ErrListIncomplete is a list whose pages repeat, or end too early.
	ErrListIncomplete = &Problem{"the Engine does not send the whole list of secrets", "Try again in a while."}
)

// StatusError is a refusal by the Engine, or by a server that answers in its place. Of what that said it contains
// numbers alone.
type StatusError struct {
	Status     int           // HTTP status; 2xx only with Page
	Page       bool          // a web page came with it
	Method     string        // of the request
	Stronger   bool          // it asks for a passkey or an authenticator app (RFC 9470)
	RetryAfter time.Duration // the wait that the Engine asks for; 0 for none
}

func (e *StatusError) Error() string { return fmt.Sprintf("%s (HTTP %d)", e.problem().What, e.Status) }

// Unwrap returns the [*Problem].
func (e *StatusError) Unwrap() error { return e.problem() }

func (e *StatusError) problem() *Problem {
	setting := e.Method == http.MethodPut
	switch {
	case e.Page && e.Status < 500:
		return ErrNotEngine
	case e.Status == http.StatusUnauthorized:
		return &Problem{"the Engine does not accept the credentials", "Run 'arcade login', or check ARCADE_API_KEY."}
	case e.Status == http.StatusForbidden:
		return &Problem{"these credentials do not permit it", "Ask an administrator of the project."}
	case e.Status == http.StatusNotFound:
		return &Problem{"the Engine does not know this project", "Check --host, and that the project still exists."}
	case e.Status == http.StatusTooManyRequests:
		return &Problem{"too many requests", e.later()}
	case e.Status >= 500:
		return &Problem{"the Engine has a problem", e.later()}
	case setting && e.Status == http.StatusConflict:
		return &Problem{"the Engine has this key in use already", "Look at 'arcade secret list', or unset it first."}
	case e.Status == http.StatusConflict:
		return &Problem{"another change to it is under way", "Try again."}
	case setting && e.Status == http.StatusRequestEntityTooLarge:
		return &Problem{"the value is too large for the Engine", "Give a shorter one."}
	case setting && e.Status == http.StatusRequestURITooLong:
		return &Problem{"the key is too long for the Engine", "Give a shorter one."}
	case setting && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity):
		return &Problem{"the Engine refuses this key or its value", "Check the name of the key, and that the value is what you meant."}
	}
	return &Problem{"the Engine refuses the request", "Check --host, and whether there is a newer arcade."}
}

// later says when to try again.
func (e *StatusError) later() string {
	switch {
	case e.RetryAfter == 0:
		return "Try again in a while."
	case e.RetryAfter < 2*time.Minute:
		return fmt.Sprintf("Try again in %d s.", e.RetryAfter/time.Second)
	}
	return fmt.Sprintf("Try again in %d min.", (e.RetryAfter+time.Minute-1)/time.Minute)
}

// asksToWait reports whether the Engine wants to be asked again later.
func (e *StatusError) asksToWait() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable
}

// ConnectionError says that no complete answer came.
type ConnectionError struct {
	Host string // of the Engine, with its port if it has one
	// Cause is the error of net/http. Do not show it: its text can hold what the server sent.
	Cause   error
	reached bool // there was a connection, including TLS and a proxy where needed
}

func (e *ConnectionError) Error() string {
	return fmt.Sprintf("cannot reach the Engine at %s", Printable(e.Host))
}

// broke reports whether a connection broke; one that timed out did not.
func (e *ConnectionError) broke() bool {
	var network net.Error
	return e.reached && !errors.Is(e.Cause, context.DeadlineExceeded) && !(errors.As(e.Cause, &network) && network.Timeout())
}
