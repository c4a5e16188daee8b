//go:build unix

package main

import "syscall"

// detached puts the child into a session of its own, out of reach of the terminal's Ctrl-C and
// hang-up and of a shell's job control.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// neutralDirectory is where the child works: it must not keep the user's directory busy.
func neutralDirectory() string { return "/" }

func systemEnvironment() []string { return nil }
