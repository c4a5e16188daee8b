//go:build unix

// Command meter runs a program, one time after the other, and prints what that took, in nanoseconds
// and bytes: the wall time to the end of the last, the CPU of all processes, detached ones included, the
// same of the programs alone, the peak memory of the largest, and what was written to disks. It waits
// for the detached ones.
//
// It is a program of its own because a child counts the memory of the process that started it as its
// own peak, so that a large one cannot measure a small one.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

func main() {
	times, err := strconv.Atoi(os.Args[1])
	check(err)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	check(err)
	check(adopt())
	var m meter
	start := time.Now()
	for range times {
		child, err := os.StartProcess(os.Args[2], os.Args[2:], &os.ProcAttr{Files: []*os.File{os.Stdin, null, null}})
		check(err)
		m.await(child.Pid)
	}
	wall := time.Since(start)
	m.await(0)
	fmt.Println(int64(wall), int64(m.all), int64(m.own), m.peak, m.written)
}

// meter adds up what processes took.
type meter struct{ all, own, peak, written int64 }

// await collects processes up to the end of the program with the id, or of all for 0.
func (m *meter) await(program int) {
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &usage)
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.ECHILD && program == 0 {
			return
		}
		check(err)
		cpu := usage.Utime.Nano() + usage.Stime.Nano()
		m.all += cpu
		m.peak = max(m.peak, int64(usage.Maxrss)*maxrssUnit)
		m.written += int64(usage.Oublock) * 512 // getrusage(2) counts blocks
		if pid == program {
			m.own += cpu
			if status != 0 {
				check(fmt.Errorf("%v: wait status %d", os.Args[2:], status))
			}
			return
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
