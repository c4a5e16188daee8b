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

// onContinue calls again each time the process continues after a stop. Meanwhile the shell has switched the
// terminal's echo on, and few shells undo that: a hidden prompt switches it off first.
func onContinue(fd int, hidden bool, again func()) (stop func()) {
	continued, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(continued, syscall.SIGCONT)
	go func() {
		defer close(ended)
		for range continued {
			if hidden {
				_ = hide(fd) // a terminal that is gone shows nothing
			}
			again()
		}
	}()
	return func() {
		signal.Stop(continued) // sends nothing any more
		close(continued)
		<-ended
	}
}

const (
	// pause is the silence that ends a paste, in tenths of a second: over a slow line its pieces come apart.
	pause = 3
	// maxPauses bounds the wait for the mark at the end of a paste: a line that was cut has lost it.
	maxPauses = 20
)

// readTyped reads a line and whatever comes right behind it. The caller restores the terminal. ReadPassword of
// x/term ignores Ctrl-D, reads for ever from a terminal that is gone, and leaves the other lines of a paste to the
// shell.
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

// passOnAtOnce makes a terminal pass on its input without waiting for the end of a line, and nothing after a
// pause.
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
