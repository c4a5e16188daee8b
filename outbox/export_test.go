package outbox

import (
	"context"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/machine"
)

// Deliver runs a flusher as its own process would, but in this one.
func (o *Outbox) Deliver(ctx context.Context, patience time.Duration) (Result, error) {
	d := o.newDelivery()
	d.patience = o.cfg.Now().Add(patience)
	return d.run(ctx)
}

// DeliverAndLinger is Deliver with what a detached flusher does when all is delivered.
func (o *Outbox) DeliverAndLinger(ctx context.Context) (Result, error) {
	d := o.newDelivery()
	d.lingers = true
	d.lockWait *= 60 // for the flusher at work, which may be slow on a busy machine
	return d.run(ctx)
}

// DeliverDetached is the whole life of a flusher's process.
func DeliverDetached(config func() (Config, error)) error { return deliverDetached(config) }

// PathVariable tells a flusher where the database is.
const PathVariable = pathVariable

// HasMachineID reports whether this system can tell machines apart.
func HasMachineID() bool { return machine.ID() != "" }
