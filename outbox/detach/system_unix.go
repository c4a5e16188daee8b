//go:build unix

package detach

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// detached puts the child into a session of its own, out of reach of the terminal's Ctrl-C and
// hang-up and of a shell's job control.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// neutralDirectory is where the child works: it must not keep the user's directory busy.
func neutralDirectory() string { return "/" }

// closeInherited closes the descriptors that this process inherited beyond its three streams: a shell's
// $(hello 3>&1) would wait for them. Those that Go has opened since are the ones that an exec closes. 1,024 is the
// usual limit; /dev/fd, which would list them, is not there without /proc.
func closeInherited() {
	for fd := 3; fd < 1024; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			syscall.Close(fd)
		}
	}
}
