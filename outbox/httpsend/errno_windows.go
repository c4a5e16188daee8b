package httpsend

import "golang.org/x/sys/windows"

// The system's errors that CauseOf puts into words. Sockets have numbers of their own here:
// package syscall's ECONNREFUSED and the like are never returned.
const (
	connectionRefused  = windows.WSAECONNREFUSED
	connectionReset    = windows.WSAECONNRESET
	connectionBroken   = windows.WSAECONNABORTED
	networkUnreachable = windows.WSAENETUNREACH
	hostUnreachable    = windows.WSAEHOSTUNREACH
)
