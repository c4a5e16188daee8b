package outbox

import (
	"context"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/machine"
	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

// Deliver runs a flusher as its own process would, but in this one.
func (o *Outbox) Deliver(ctx context.Context, patience time.Duration, progress func(Result)) (Result, error) {
	return (&delivery{outbox: o, patience: patience, progress: progress}).run(ctx)
}

// HasMachineID tells whether this system can tell machines apart.
func HasMachineID() bool { return machine.ID() != "" }

// DeliverAndLinger is Deliver with what a detached flusher does when all is delivered, on the lock that
// its command has made.
func (o *Outbox) DeliverAndLinger(ctx context.Context) (Result, error) {
	if err := store.CreateFile(o.lingerLock()); err != nil {
		return Result{}, err
	}
	return (&delivery{outbox: o, lingers: true}).run(ctx)
}
