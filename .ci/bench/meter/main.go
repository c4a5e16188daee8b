//go:build linux

// Command meter runs a program, one time after the other, and prints what that took, in nanoseconds and bytes:
// the wall time to the end of the last, the CPU of all processes, detached ones included, and the peak memory of the
// largest. It is a program of its own because a child counts the memory of the process that started it as its own
// peak, so that a large one cannot measure a small one.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	times, err := strconv.Atoi(os.Args[1])
	check(err)
	program, err := exec.LookPath(os.Args[2])
	check(err)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	check(err)
	check(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) // what its children leave behind becomes its own
	var cpu, peak int64
	collect := func(until int) {
		for {
			var status syscall.WaitStatus
			var usage syscall.Rusage
			pid, err := syscall.Wait4(-1, &status, 0, &usage)
			if err == syscall.ECHILD && until == 0 {
				return
			}
			if err == syscall.EINTR {
				continue
			}
			check(err)
			cpu += usage.Utime.Nano() + usage.Stime.Nano()
			peak = max(peak, usage.Maxrss*1024)
			if pid == until {
				if status != 0 {
					check(fmt.Errorf("%v: wait status %d", os.Args[2:], status))
				}
				return
			}
		}
	}
	start := time.Now()
	for range times {
		child, err := os.StartProcess(program, os.Args[2:], &os.ProcAttr{Files: []*os.File{null, null, null}})
		check(err)
		collect(child.Pid)
	}
	wall := time.Since(start)
	collect(0)
	fmt.Println(int64(wall), cpu, peak)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
