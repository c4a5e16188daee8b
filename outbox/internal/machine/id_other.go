//go:build !windows

package machine

import (
	"os"
	"strings"
)

// ID returns the id that systemd or D-Bus gives a system when it is installed, "" where there is none (most containers).
// https://www.freedesktop.org/software/systemd/man/machine-id.html
//
// macOS has none that can be read without cgo: kern.uuid is the kernel's build, the same on all Macs of a version and another one
// after each update.
func ID() string {
	content, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}
