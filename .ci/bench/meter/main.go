//go:build unix

// Command meter runs a program and prints its peak memory in kB. A child counts the memory of
// the process that started it as its own peak, so that a large one cannot measure a small one.
package main

import (
	"os"
	"strconv"
	"syscall"
)

func main() {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	check(err)
	child, err := os.StartProcess(os.Args[1], os.Args[1:], &os.ProcAttr{Files: []*os.File{null, null, null}})
	check(err)
	state, err := child.Wait()
	check(err)
	os.Stdout.WriteString(strconv.FormatInt(state.SysUsage().(*syscall.Rusage).Maxrss, 10) + "\n")
}

func check(err error) {
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
