// Package detach starts a process of the program that is running, which outlives it: a command
// leaves work behind and returns to its user's prompt.
//
// The new process keeps nobody waiting and shows nothing: it has null streams, no other descriptor, a session
// (on Windows a process group without a console) and a working directory of its own, no arguments, and an
// environment of the marker, which tells it what it is, and of ordinary variables, so that package initialisation
// finds a home. All other variables reach it through a pipe, because other users may read a process's own
// environment (/proc/*/environ, ps e).
//
// A program calls Child first thing in main, before it looks at flags:
//
//	if child, err := detach.Child("HELLO_CHILD"); err != nil {
//		os.Exit(1)
//	} else if child {
//		detach.Watchdog(10 * time.Second)
//		...
//	}
package detach

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// patience bounds how long a parent waits for room in the pipe, and a child for its content. The pipe of most
// systems holds 64 kB, so that few parents wait at all.
const patience = 5 * time.Second

// Start starts this program again, detached, and hands it environment through a pipe, a list of
// NAME=value of any size. The marker is the name of the variable that tells the child what it is. Start
// does not wait for the child's end. After an error nothing is left running.
func Start(marker string, environment []string) error {
	return start(marker, environment, nil, patience)
}

// StartHeard is Start for a process that waits for its child: heard is closed when the child closes its standard
// output, or ends. It is nil after an error.
func StartHeard(marker string, environment []string) (heard <-chan struct{}, err error) {
	ended := make(chan struct{})
	if err := start(marker, environment, ended, patience); err != nil {
		return nil, err
	}
	return ended, nil
}

// TakesAlong reports whether the end of this process also ends its children: on Linux, when it is the first
// process of a container, or a child of the first one, as a unit's is.
func TakesAlong() bool {
	return runtime.GOOS == "linux" && (os.Getpid() == 1 || os.Getppid() == 1)
}

func start(marker string, environment []string, ended chan<- struct{}, patience time.Duration) error {
	self, err := program()
	if err != nil {
		return err
	}
	own, others := split(environment)
	content, err := encode(marker, others)
	if err != nil {
		return err
	}
	// It does not inherit our output: a shell's $(hello 2>&1) waits until no process holds that. It has our name,
	// by which a program may do different things. On Windows package exec adds SystemRoot, without which sockets fail.
	child := exec.Cmd{
		Path: self, Args: []string{filepath.Base(os.Args[0])},
		Env: append(own, marker+"=1"), Dir: neutralDirectory(), SysProcAttr: detached(),
	}
	input, err := child.StdinPipe()
	if err != nil {
		return err
	}
	defer input.Close()
	var output io.Reader
	if ended != nil {
		output, err = child.StdoutPipe()
	}
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		return err
	}
	if ended != nil {
		go func() {
			_, _ = output.Read(make([]byte, 1)) // nothing is ever written: only the end counts
			close(ended)
		}()
	}
	go child.Wait() // else it stays a zombie as long as this process lives
	timer := time.AfterFunc(patience, func() {
		child.Process.Kill() // Windows has no other way to end a write
		input.Close()
	})
	_, err = input.Write(content)
	if !timer.Stop() {
		err = errors.New("the process does not read it")
	}
	if err != nil {
		child.Process.Kill()
		return fmt.Errorf("hand the environment over: %w", err)
	}
	return nil
}

// Check returns why Start would not find the program. It starts nothing.
func Check() error {
	self, err := program()
	if err == nil {
		_, err = exec.LookPath(self)
	}
	return err
}

// program returns the path of this program. A Linux without /proc cannot say it: there it is found as by a shell.
func program() (string, error) {
	self, err := os.Executable()
	if err != nil {
		self, err = exec.LookPath(os.Args[0])
	}
	if err == nil {
		self, err = filepath.Abs(self)
	}
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return self, nil
}

// Child reports whether Start started this process with marker. It then sets the variables that it was handed,
// removes the marker, so that the child's own children do not take themselves for one, and closes what was
// inherited beyond the three streams. With an error the process is a child that lacks some of its environment, and
// should end at once.
//
// A marker without a pipe at standard input was set by a person: the process is no child.
func Child(marker string) (bool, error) {
	is, err := child(marker, os.Stdin, patience)
	if is {
		closeInherited()
	}
	return is, err
}

func child(marker string, stdin *os.File, patience time.Duration) (bool, error) {
	if os.Getenv(marker) == "" {
		return false, nil
	}
	if info, err := stdin.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return false, nil
	}
	if err := os.Unsetenv(marker); err != nil {
		return true, err
	}
	done := make(chan error, 1)
	go func() { done <- takeUp(stdin) }()
	select {
	case err := <-done:
		return true, err
	case <-time.After(patience): // the parent is stopped
		return true, errors.New("the environment does not arrive")
	}
}

// Watchdog ends the process with exit code 1 after d, whatever it does then, without running deferred functions.
func Watchdog(d time.Duration) { time.AfterFunc(d, func() { os.Exit(1) }) }
