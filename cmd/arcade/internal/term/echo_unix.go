//go:build unix

package term

import (
	"bufio"
	"bytes"
	"io"
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
				_ = hide(fd) // a terminal that is gone shows nothing
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

// readHidden reads a line, without its end, that is not shown until the caller restores the terminal.
// ReadPassword of x/term takes no notice of Ctrl-D, and would read a terminal that is gone for ever.
func readHidden(keyboard *os.File) ([]byte, error) {
	if err := hide(int(keyboard.Fd())); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(keyboard).ReadBytes('\n')
	if err == io.EOF {
		err = nil
	}
	return bytes.TrimRight(line, "\r\n"), err
}

func hide(fd int) error {
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return err
	}
	state.Lflag &^= unix.ECHO
	state.Lflag |= unix.ICANON | unix.ISIG
	state.Iflag |= unix.ICRNL
	return unix.IoctlSetTermios(fd, setTermios, state)
}
