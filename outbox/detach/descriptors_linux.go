package detach

import (
	"math"

	"golang.org/x/sys/unix"
)

// keepAll needs no /proc, but Linux 5.11.
func keepAll() error { return unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) }
