//go:build unix

package browser

import "syscall"

// apart gives a process a session of its own.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
