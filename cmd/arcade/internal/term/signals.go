package term

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Ended is the cause of a context that WithSignals ended.
type Ended struct{ Signal syscall.Signal }

func (e *Ended) Error() string { return "ended by a signal: " + e.Signal.String() }

// ExitCode is 128 and the signal's number, as shells report it.
func (e *Ended) ExitCode() int { return 128 + int(e.Signal) }

// WithSignals returns a context that ends, with an *Ended as its cause, when the user interrupts the program
// (with Ctrl-\, too, which would leave the terminal of a hidden prompt without echo), the system ends it, or its
// terminal closes. A second interruption ends the process at once; a second hang-up or SIGTERM does not, because
// shells and timeout(1) repeat them.
//
// From now on a write to a pipe without a reader returns a *WriteError and does not end the process. A signal that
// was ignored at the start, as by nohup, stays ignored.
func WithSignals(ctx context.Context) context.Context {
	ctx, end := context.WithCancelCause(ctx)
	received := make(chan os.Signal, 1)
	var heard []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) {
			heard = append(heard, s)
		}
	}
	if len(heard) > 0 { // without any, Notify would catch all
		signal.Notify(received, heard...)
	}
	surviveClosedPipes()
	go func() {
		first := <-received
		end(&Ended{first.(syscall.Signal)}) // each of those heard is one
		signal.Reset(os.Interrupt, syscall.SIGQUIT)
	}()
	return ctx
}
