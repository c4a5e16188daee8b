//go:build unix

package term

import (
	"bufio"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// onContinue calls again each time the process goes on after it was stopped. Meanwhile a shell makes the
// terminal show what is typed, and few restore it: what is hidden is hidden again first.
func onContinue(fd int, hidden bool, again func()) (stop func()) {
	continued := make(chan os.Signal, 1)
	done, ended := make(chan struct{}), make(chan struct{})
	signal.Notify(continued, syscall.SIGCONT)
	go func() {
		defer close(ended)
		for {
			select {
			case <-continued:
				if hidden {
					_ = hide(fd) // a terminal that is gone shows nothing
				}
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

const (
	// pause is how long a terminal is silent when a paste has ended, in tenths of a second: over a slow
	// line the pieces of one come apart.
	pause = 3
	// maxPauses bounds the waiting for the end of a paste that has a mark at its beginning; a line that
	// was cut has lost that at its end.
	maxPauses = 20
)

// readTyped reads a line, and what comes right behind it. A hidden one is not shown until the caller restores
// the terminal; a line that is shown may be changed until its end. ReadPassword of x/term ignores Ctrl-D, would
// read a terminal that is gone for ever, and leaves the other lines of a paste to the shell.
func readTyped(keyboard *os.File, hidden bool) (string, error) {
	fd := int(keyboard.Fd())
	if hidden {
		if err := hide(fd); err != nil {
			return "", err
		}
	}
	line, err := bufio.NewReader(keyboard).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	if err := passOnAtOnce(fd); err != nil {
		return "", err
	}
	typed, piece := line, make([]byte, 4096)
	for pauses := 0; pauses == 0 || isPasteOpen(typed) && len(line) < promptLimit && pauses < maxPauses; {
		n, err := keyboard.Read(piece)
		if typed += string(piece[:n]); err != nil || n == 0 {
			pauses++
		}
	}
	return strings.TrimRight(typed, "\x04"), nil // a Ctrl-D too many
}

func hide(fd int) error {
	return changeTerminal(fd, func(state *unix.Termios) {
		state.Lflag &^= unix.ECHO
		state.Lflag |= unix.ICANON | unix.ISIG
		state.Iflag |= unix.ICRNL
	})
}

// passOnAtOnce makes a terminal pass on what there is without waiting for the end of a line, and
// nothing when it was silent for a pause.
func passOnAtOnce(fd int) error {
	return changeTerminal(fd, func(state *unix.Termios) {
		state.Lflag &^= unix.ECHO | unix.ICANON
		state.Cc[unix.VMIN], state.Cc[unix.VTIME] = 0, pause
	})
}

func changeTerminal(fd int, settings func(*unix.Termios)) error {
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return err
	}
	settings(state)
	return unix.IoctlSetTermios(fd, setTermios, state)
}
