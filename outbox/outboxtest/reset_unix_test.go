//go:build unix

package outboxtest_test

import "syscall"

// errReset is what the client of a connection that was reset gets to see.
const errReset = syscall.ECONNRESET
