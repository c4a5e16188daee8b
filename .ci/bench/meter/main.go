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
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	times, err := strconv.Atoi(os.Args[1])
	check(err)
	check(unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) // what its children leave behind becomes its own
	start := time.Now()
	for range times {
		check(exec.Command(os.Args[2], os.Args[3:]...).Run())
	}
	wall := time.Since(start)
	for err != unix.ECHILD {
		_, err = unix.Wait4(-1, nil, 0, nil)
	}
	var used unix.Rusage
	check(unix.Getrusage(unix.RUSAGE_CHILDREN, &used))
	fmt.Println(int64(wall), used.Utime.Nano()+used.Stime.Nano(), used.Maxrss*1024)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, os.Args[1:], err)
		os.Exit(1)
	}
}
