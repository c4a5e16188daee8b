package main

import (
	"cmp"
	"slices"
	"strings"
)

// switches is what the environment says about tracking.
type switches struct {
	on bool
	// forced: on by ARCADE_USAGE_TRACKING, which beats `arcade usage disable`.
	forced bool
	// by names the variable that decided, "" when none did.
	by string
}

// switches reads ARCADE_USAGE_TRACKING, which beats DO_NOT_TRACK, which beats what `arcade
// usage disable` left in the database; that is not read here.
func (a *app) switches() switches {
	off := []string{"0", "false", "no", "off"}
	if value := strings.TrimSpace(a.env("ARCADE_USAGE_TRACKING")); value != "" {
		on := !slices.Contains(off, strings.ToLower(value))
		return switches{on: on, forced: on, by: "ARCADE_USAGE_TRACKING"}
	}
	// https://consoledonottrack.com: any value but these asks not to be tracked.
	if value := strings.TrimSpace(a.env("DO_NOT_TRACK")); value != "" && !slices.Contains(off, strings.ToLower(value)) {
		return switches{by: "DO_NOT_TRACK"}
	}
	return switches{on: true}
}

func (a *app) postHogKey() string {
	return cmp.Or(strings.TrimSpace(a.env("ARCADE_USAGE_KEY")), usageKey)
}

func (a *app) postHogHost() string {
	return cmp.Or(strings.TrimSpace(a.env("ARCADE_USAGE_HOST")), defaultUsageHost)
}
