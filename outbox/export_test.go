package outbox

import (
	"context"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/machine"
)

// Deliver runs a flusher as its own process would, but in this one.
func (o *Outbox) Deliver(ctx context.Context, patience time.Duration, progress func(Result)) (Result, error) {
	d := o.newDelivery()
	d.patience = o.cfg.Now().Add(patience)
	if progress != nil {
		d.progress = progress
	}
	return d.run(ctx)
}

// HasMachineID reports whether this system can tell machines apart.
func HasMachineID() bool { return machine.ID() != "" }

// DeliverAndLinger is Deliver with what a detached flusher does when all is delivered.
func (o *Outbox) DeliverAndLinger(ctx context.Context) (Result, error) {
	d := o.newDelivery()
	d.lingers = true
	return d.run(ctx)
}
