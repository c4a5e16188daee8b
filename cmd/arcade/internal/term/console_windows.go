package term

import (
	"bufio"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/term"
)

// knowsColours makes a console take ANSI escape sequences and reports whether it does. The console
// of Windows 10 can, but starts with that switched off; earlier ones cannot.
// https://learn.microsoft.com/windows/console/console-virtual-terminal-sequences
func knowsColours(console *os.File) bool {
	handle := windows.Handle(console.Fd())
	var mode uint32
	if windows.GetConsoleMode(handle, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(handle, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}

// surviveClosedPipes has nothing to do: Windows has no signal for them.
func surviveClosedPipes() {}

func isClosedPipe(err error) bool {
	return errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_NO_DATA)
}

// readTyped reads a line, without showing it if hidden, and the lines that come right behind it. One read goes on
// waiting; the console drops it, and what it has got, when the process ends.
func readTyped(keyboard *os.File, hidden bool) (string, error) {
	shown := bufio.NewReader(keyboard)
	type reading struct {
		line string
		err  error
	}
	lines := make(chan reading)
	go func() {
		var r reading
		for r.err == nil {
			if hidden {
				var line []byte
				line, r.err = term.ReadPassword(int(keyboard.Fd()))
				r.line = string(line) + "\n"
			} else {
				r.line, r.err = shown.ReadString('\n')
			}
			lines <- r
		}
	}()
	var typed string
	var silent <-chan time.Time
	for {
		select {
		case r := <-lines:
			if r.err != nil {
				return typed, r.err
			}
			typed, silent = typed+r.line, time.After(300*time.Millisecond)
		case <-silent:
			return typed, nil
		}
	}
}

// isUnread is always false: on Windows only a write finds out.
func isUnread(*os.File) bool { return false }

// onContinue has nothing to do: Windows stops no process.
func onContinue(int, bool, func()) (stop func()) { return func() {} }
