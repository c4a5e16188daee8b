package track

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/posthog"
)

// Switches is what the environment says about tracking.
type Switches struct {
	// On says that usage may be recorded and sent, unless `arcade usage disable` was run.
	On bool
	// Forced: on by ARCADE_USAGE_TRACKING, which beats `arcade usage disable`.
	Forced bool
	// By names the variable that decided, "" when none did.
	By string
}

// Switches reads ARCADE_USAGE_TRACKING, which beats DO_NOT_TRACK, which beats what `arcade
// usage disable` left in the database; that is not read here.
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

// consent is the environment's word for the outbox, which reads DO_NOT_TRACK itself.
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

// Host is the address that events are sent to, "" when what was given cannot be one.
func (t *Tracker) Host() string { return t.sink().Endpoint() }

func (t *Tracker) sink() *posthog.Sink {
	return posthog.New(posthog.Config{
		Host: t.Env("ARCADE_USAGE_HOST"), Key: t.postHogKey(), Transport: t.Network(),
	})
}
