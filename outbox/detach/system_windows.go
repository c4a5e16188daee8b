package detach

import (
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/windows"
)

// detached gives the child no console, so that no window flashes up, and a process group of its own,
// so that Ctrl-C does not reach it.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		HideWindow:    true,
		CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS,
	}
}

// neutralDirectory is where the child works: it must not keep the user's directory busy.
func neutralDirectory() string { return filepath.VolumeName(os.Getenv("SystemRoot")) + `\` }

// closeInherited has nothing to do: Go's child inherits the handles of its streams only.
func closeInherited() {}
