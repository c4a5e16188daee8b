//go:build unix

package outboxtest_test

import "syscall"

const errReset = syscall.ECONNRESET
