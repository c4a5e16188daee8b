//go:build unix

package term

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// knowsColours reports whether a terminal takes ANSI escape sequences. All do.
func knowsColours(*os.File) bool { return true }

// surviveClosedPipes catches the signal: to ignore it would make child processes ignore it, too.
func surviveClosedPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// isUnread reports whether the reader of a pipe or socket is gone, without writing to it.
func isUnread(file *os.File) bool {
	asked := []unix.PollFd{{Fd: int32(file.Fd())}}
	n, err := unix.Poll(asked, 0)
	return err == nil && n > 0 && asked[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}

func isClosedPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }
