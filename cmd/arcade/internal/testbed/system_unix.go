//go:build unix

package testbed

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

// Interruptible prepares a command for Interrupt. It has nothing to do here.
func Interruptible(_ testing.TB, cmd *exec.Cmd) *exec.Cmd { return cmd }

// Interrupt does what Ctrl-C does.
func Interrupt(p *os.Process) error { return p.Signal(os.Interrupt) }

// terminate tells a process to leave.
func terminate(pid int) { syscall.Kill(pid, syscall.SIGTERM) }

// killSelf ends the process as `kill -9` does: nothing of it runs any more.
func killSelf() { syscall.Kill(syscall.Getpid(), syscall.SIGKILL) }

// stopSelf stops the process where it is, until it gets SIGCONT. The kernel may stop another thread first, so
// this one waits for that signal.
func stopSelf() {
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	<-continued
}
