//go:build unix

package term

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepHidden hides what is typed again each time the process goes on after it was stopped: a shell
// makes the terminal show it for itself meanwhile, and few restore it. The prompt is shown once more.
func keepHidden(fd int, again func()) (stop func()) {
	continued := make(chan os.Signal, 1)
	done, ended := make(chan struct{}), make(chan struct{})
	signal.Notify(continued, syscall.SIGCONT)
	go func() {
		defer close(ended)
		for {
			select {
			case <-continued:
				hide(fd)
				again()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(continued)
		close(done)
		<-ended
	}
}

// hide does what ReadPassword does to a terminal.
func hide(fd int) {
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return
	}
	state.Lflag &^= unix.ECHO
	state.Lflag |= unix.ICANON | unix.ISIG
	state.Iflag |= unix.ICRNL
	_ = unix.IoctlSetTermios(fd, setTermios, state) // a terminal that is gone shows nothing
}
