package machine

import (
	"os"
	"strings"
)

// ID returns the id that systemd gives a machine when it is installed, "" where there is
// none (most containers). https://www.freedesktop.org/software/systemd/man/machine-id.html
func ID() string {
	content, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}
