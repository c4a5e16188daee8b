package outbox

import (
	"context"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/machine"
)

// Deliver runs a flusher as its own process would, but in this one.
func (o *Outbox) Deliver(ctx context.Context, patience time.Duration, progress func(Result)) (Result, error) {
	return (&delivery{outbox: o, lockWait: lockPatience, patience: patience, progress: progress, unblock: func() {}}).run(ctx)
}

// HasMachineID reports whether this system can tell machines apart.
func HasMachineID() bool { return machine.ID() != "" }

// DeliverAndLinger is Deliver with what a detached flusher does when all is delivered.
func (o *Outbox) DeliverAndLinger(ctx context.Context) (Result, error) {
	return (&delivery{outbox: o, lockWait: lockPatience, lingers: true, unblock: func() {}}).run(ctx)
}
