package track

import (
	"time"

	"github.com/ArcadeAI/arcade-cli/migrations"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Config is the configuration of the outbox in this home. The error can be ErrNoHome.
func (t *Tracker) Config() (outbox.Config, error) {
	home, err := t.Home()
	return t.config(home, false), err
}

// config takes whether Arcade Cloud is asked again about credentials that it has refused lately.
func (t *Tracker) config(home Home, again bool) outbox.Config {
	return outbox.Config{
		Path:   home.database(),
		Sink:   t.sink(),
		Tables: migrations.Identity(),

		Environment: []string{"ARCADE_USAGE_HOST", "ARCADE_USAGE_KEY", "ARCADE_USAGE_TRACKING", "ARCADE_CONTEXT"},
		Paths:       []string{"ARCADE_WORK_DIR"},
		Secrets:     []string{"ARCADE_API_KEY", "ARCADE_URL"}, // an address may hold a password
		Consent:     t.Switches().consent(),

		Resolve:  resolver{t, home, again}.resolve,
		Released: t.released,
		Moved:    t.moved,

		Now: t.Now, Start: t.Start, Point: t.Point,
	}
}

// open returns this home's outbox, which waits so long for each lock; 0 for as long as is usual. It
// touches nothing.
func (t *Tracker) open(wait time.Duration) (Home, *outbox.Outbox, error) {
	home, err := t.Home()
	if err != nil {
		return home, nil, err
	}
	config := t.config(home, false)
	config.LockWait = wait
	box, err := outbox.New(config)
	return home, box, err
}
