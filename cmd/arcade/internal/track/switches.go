package track

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/posthog"
)

// Switches are the environment's switches of tracking.
type Switches struct {
	// Override says whether a variable switches tracking on or off, which beats `arcade usage disable`.
	Override outbox.Override
	// By is the name of that variable, "" for none.
	By string
}

// Switches reads ARCADE_USAGE_TRACKING, which beats DO_NOT_TRACK, which beats what `arcade
// usage disable` left beside the database; that is not read here.
func (t *Tracker) Switches() Switches {
	off := []string{"0", "false", "no", "off"}
	if value := strings.TrimSpace(t.Env("ARCADE_USAGE_TRACKING")); value != "" {
		s := Switches{outbox.ForceOn, "ARCADE_USAGE_TRACKING"}
		if slices.Contains(off, strings.ToLower(value)) {
			s.Override = outbox.ForceOff
		}
		return s
	}
	// https://consoledonottrack.com: any value but these asks not to be tracked.
	if value := strings.TrimSpace(t.Env("DO_NOT_TRACK")); value != "" && !slices.Contains(off, strings.ToLower(value)) {
		return Switches{outbox.ForceOff, "DO_NOT_TRACK"}
	}
	return Switches{}
}

// ErrVariable means that a variable has switched tracking off.
var ErrVariable = errors.New("a variable has switched tracking off")

// OffError names what has switched tracking off. It is an ErrVariable, or an outbox.ErrOff after `arcade usage
// disable`.
type OffError struct {
	By    string
	cause error
}

func (e *OffError) Error() string { return "tracking is off: " + e.By }

// Unwrap returns which of the two it is.
func (e *OffError) Unwrap() error { return e.cause }

// Off returns what has switched tracking off, nil when it is on. Consent is what `arcade usage enable` and
// `disable` have left.
func (t *Tracker) Off(consent outbox.Consent) *OffError {
	switch s := t.Switches(); {
	case s.Override == outbox.ForceOff:
		return &OffError{s.By, ErrVariable}
	case s.Override == outbox.NoOverride && !consent.On:
		return &OffError{"arcade usage disable", outbox.ErrOff}
	}
	return nil
}

// HasKey reports whether there is a key, without which no event is sent.
func (t *Tracker) HasKey() bool { return t.postHogKey() != "" }

func (t *Tracker) postHogKey() string {
	return cmp.Or(strings.TrimSpace(t.Env("ARCADE_USAGE_KEY")), t.Key)
}

// Host is the address that events are sent to, "" if ARCADE_USAGE_HOST cannot be one.
func (t *Tracker) Host() string { return t.sink().Endpoint() }

func (t *Tracker) sink() *posthog.Sink {
	return posthog.New(posthog.Config{
		Host: t.Env("ARCADE_USAGE_HOST"), Key: t.postHogKey(), Transport: t.Network(),
	})
}
