//go:build unix

package httpsend

import "syscall"

// The system's errors that CauseOf puts into words.
const (
	connectionRefused  = syscall.ECONNREFUSED
	connectionReset    = syscall.ECONNRESET
	connectionBroken   = syscall.EPIPE
	networkUnreachable = syscall.ENETUNREACH
	hostUnreachable    = syscall.EHOSTUNREACH
)
