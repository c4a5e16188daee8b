package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// knowsColours makes a console take ANSI escape sequences and tells whether it does. The console
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
