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
	// On says that usage may be recorded and sent, unless `arcade usage disable` was run.
	On bool
	// Forced: on by ARCADE_USAGE_TRACKING, which beats `arcade usage disable`.
	Forced bool
	// By is the name of the variable that decided, "" for none.
	By string
}

// Switches reads ARCADE_USAGE_TRACKING, which beats DO_NOT_TRACK, which beats what `arcade
// usage disable` left beside the database; that is not read here.
func (t *Tracker) Switches() Switches {
	off := []string{"0", "false", "no", "off"}
	if value := strings.TrimSpace(t.Env("ARCADE_USAGE_TRACKING")); value != "" {
		on := !slices.Contains(off, strings.ToLower(value))
		return Switches{On: on, Forced: on, By: "ARCADE_USAGE_TRACKING"}
	}
	// https://consoledonottrack.com: any value but these asks not to be tracked.
	if value := strings.TrimSpace(t.Env("DO_NOT_TRACK")); value != "" && !slices.Contains(off, strings.ToLower(value)) {
		return Switches{By: "DO_NOT_TRACK"}
	}
	return Switches{On: true}
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
	case !s.On:
		return &OffError{s.By, ErrVariable}
	case !consent.On && !s.Forced:
		return &OffError{"arcade usage disable", outbox.ErrOff}
	}
	return nil
}

// consent is the environment's switch for the outbox, which reads DO_NOT_TRACK itself.
func (s Switches) consent() outbox.Override {
	switch {
	case s.Forced:
		return outbox.ForceOn
	case !s.On:
		return outbox.ForceOff
	default:
		return outbox.NoOverride
	}
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
