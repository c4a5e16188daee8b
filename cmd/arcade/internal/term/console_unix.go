//go:build unix

package term

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// knowsColours tells whether a terminal takes ANSI escape sequences. All do.
func knowsColours(*os.File) bool { return true }

// surviveClosedPipes has the signal caught rather than ignored: what is ignored here would be ignored
// by the programs that this one starts, too.
func surviveClosedPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

func isClosedPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }
