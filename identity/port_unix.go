//go:build unix

package identity

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isPortTaken says whether listening failed because somebody else listens.
func isPortTaken(err error) bool { return errors.Is(err, unix.EADDRINUSE) }
