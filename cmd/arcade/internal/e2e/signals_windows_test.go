package e2e

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/windows"
)

// interruptible prepares a command for interrupt: only a process group of its own can be
// interrupted without this one, and only through a console that both have.
func interruptible(t testing.TB, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	console, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
	if err != nil {
		t.Skip("these tests have no console, and without one there is no Ctrl-C: ", err)
	}
	console.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	return cmd
}

// interrupt does what Ctrl-Break does, which Go programs take for Ctrl-C. That itself cannot be
// sent to another process group.
func interrupt(p *os.Process) error {
	return windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(p.Pid))
}
