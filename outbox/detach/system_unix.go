//go:build unix

package detach

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// detached puts the child into a session of its own, out of reach of the terminal's Ctrl-C and
// hang-up and of a shell's job control.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// neutralDirectory is where the child works: it must not keep the user's directory busy.
func neutralDirectory() string { return "/" }

func systemEnvironment() []string { return nil }

// closeInherited closes the descriptors that this process inherited beyond its three streams: a shell's
// $(hello 3>&1) would wait for them. Those that Go has opened since are the ones that an exec closes.
func closeInherited() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil { // no /proc: the numbers that people use in a shell
		for fd := 3; fd < 256; fd++ {
			closeIfInherited(fd)
		}
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			closeIfInherited(fd)
		}
	}
}

func closeIfInherited(fd int) {
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
		syscall.Close(fd)
	}
}
