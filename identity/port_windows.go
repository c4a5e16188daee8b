package identity

import (
	"errors"

	"golang.org/x/sys/windows"
)

// isPortTaken says whether listening failed because somebody else listens. An
// exclusive listener shows as a lack of permission.
func isPortTaken(err error) bool {
	return errors.Is(err, windows.WSAEADDRINUSE) || errors.Is(err, windows.WSAEACCES)
}
