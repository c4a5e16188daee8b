//go:build unix

package detach

import (
	"os"
	"strconv"
	"syscall"
)

// detached puts the child into a session of its own, out of reach of the terminal's Ctrl-C and
// hang-up and of a shell's job control.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// neutralDirectory is where the child works: it must not keep the user's directory busy.
func neutralDirectory() string { return "/" }

func systemEnvironment() []string { return nil }

// keepDescriptors keeps what this process has inherited beyond its three streams from the child, which
// Go does not: a shell's $(hello 3>&1) would wait for the child to close it, too.
func keepDescriptors() {
	if keepAll() == nil {
		return
	}
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
