//go:build unix

package outbox

import "syscall"

// The system's errors that describe puts into words.
const (
	connectionRefused  = syscall.ECONNREFUSED
	connectionReset    = syscall.ECONNRESET
	connectionBroken   = syscall.EPIPE
	networkUnreachable = syscall.ENETUNREACH
	hostUnreachable    = syscall.EHOSTUNREACH
)
