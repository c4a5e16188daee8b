//go:build unix

package main

import (
	"syscall"
	"time"
)

// killSelf ends the process as `kill -9` does: nothing of it runs any more.
func killSelf() { syscall.Kill(syscall.Getpid(), syscall.SIGKILL) }

// stopSelf stops the process where it is, until somebody sends SIGCONT. The kernel may stop
// another thread first, so this one does nothing for a while.
func stopSelf() {
	syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	time.Sleep(100 * time.Millisecond)
}
