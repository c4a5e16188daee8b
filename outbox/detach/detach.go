// Package detach starts a process of the program that is running, which outlives it: a command
// leaves work behind and returns to its user's prompt.
//
// The new process has nothing of the old one that could keep somebody waiting or tell somebody
// something: null streams, no other descriptor, a session (on Windows: a process group without a
// console) and a working directory of its own, no arguments, and an environment of the marker, which
// tells it what it is, and of ordinary variables, so that package initialisation finds a home. All others
// reach it through a pipe, because others may read a process's own (/proc/*/environ, ps e).
//
// A program calls Child first thing in main, before it looks at flags:
//
//	if child, err := detach.Child("HELLO_CHILD"); err != nil {
//		os.Exit(1)
//	} else if child {
//		defer detach.Watchdog(10 * time.Second)()
//		...
//	}
package detach

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// patience is how long a parent waits for a child that has to make room in the pipe, and a child for
// a parent that has to fill it. The pipe of most systems holds 64 kB, so that few parents wait at all.
const patience = 5 * time.Second

// Start starts this program again, detached, and hands it environment through a pipe, a list of
// NAME=value of any size. The marker is the name of the variable that tells the child what it is. Start
// does not wait for the child's end. After an error nothing is left running.
func Start(marker string, environment []string) error {
	return start(marker, environment, nil, patience)
}

// StartHeard is Start for a process that waits for a word of the child: heard is closed when the child
// closes its standard output, or ends.
func StartHeard(marker string, environment []string) (heard <-chan struct{}, err error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	err = start(marker, environment, writer, patience)
	writer.Close()
	if err != nil {
		reader.Close()
		return nil, err
	}
	end := make(chan struct{})
	go func() {
		defer close(end)
		defer reader.Close()
		_, _ = reader.Read(make([]byte, 1)) // nothing is ever written: only the end counts
	}()
	return end, nil
}

// TakesAlong tells whether the end of this process is that of what it has started: on Linux, when it is
// the first process of a container, or a child of the first one, as a unit's is.
func TakesAlong() bool {
	return runtime.GOOS == "linux" && (os.Getpid() == 1 || os.Getppid() == 1)
}

func start(marker string, environment []string, stdout *os.File, patience time.Duration) error {
	own, secret := split(environment)
	content, err := encode(marker, secret)
	if err != nil {
		return err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	defer writer.Close()
	process, err := launch(append(own, marker+"=1"), reader, stdout)
	if err != nil {
		return err
	}
	reader.Close() // a child that dies leaves a broken pipe then, not one that waits for a reader
	err = handOver(process, writer, content, patience)
	if err != nil {
		process.Kill()
		err = fmt.Errorf("hand the environment over: %w", err)
	}
	go process.Wait() // else it stays a zombie as long as this process lives
	return err
}

// Check tells why Start would not find the program to start. It starts nothing.
func Check() error {
	self, err := program()
	if err != nil {
		return err
	}
	_, err = exec.LookPath(self)
	return err
}

// program is the path of this one.
func program() (string, error) {
	self, err := os.Executable()
	if err != nil {
		self, err = lookUp(os.Args)
	}
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return self, nil
}

// launch starts the program with the environment's pipe for its standard input. Our own output is not
// its: whoever reads that, as $(hello 2>&1) does, would wait for its last holder.
func launch(environment []string, stdin, stdout *os.File) (*os.Process, error) {
	self, err := program()
	if err != nil {
		return nil, err
	}
	name := filepath.Base(self)
	if len(os.Args) > 0 {
		name = filepath.Base(os.Args[0]) // a program may be several, by the name it is called with
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	return os.StartProcess(self, []string{name}, &os.ProcAttr{
		Dir:   neutralDirectory(),
		Env:   slices.Concat(systemEnvironment(), settings(), environment),
		Files: []*os.File{stdin, cmp.Or(stdout, null), null},
		Sys:   detached(),
	})
}

// lookUp finds the program as a shell would, for systems that cannot say (Linux without /proc).
func lookUp(args []string) (string, error) {
	if len(args) == 0 {
		return "", errors.New("it was started without a name")
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// handOver writes the environment, and ends the child that does not read it.
func handOver(child *os.Process, pipe *os.File, content []byte, patience time.Duration) error {
	timer := time.AfterFunc(patience, func() {
		child.Kill() // Windows has no other way to end a write
		pipe.Close()
	})
	_, err := pipe.Write(content)
	if !timer.Stop() {
		return errors.New("the process does not read it")
	}
	if err != nil {
		return err
	}
	return pipe.Close()
}

// Child reports whether this process was started by Start with marker, after it has taken up the
// environment: the variables are set, and the marker is taken out, so that what the child starts does not
// take itself for one. Standard input has been read by then, and what was inherited beyond the three
// streams is closed. With an error the process is such a child that has no environment, or not all of
// it, and should end at once.
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
	type result struct {
		environment []string
		err         error
	}
	done := make(chan result, 1)
	go func() {
		environment, err := decode(stdin)
		done <- result{environment, err}
	}()
	select {
	case r := <-done:
		if r.err == nil {
			r.err = takeUp(r.environment)
		}
		return true, r.err
	case <-time.After(patience): // the parent is stopped
		return true, errors.New("the environment does not arrive")
	}
}

// Watchdog ends the process with exit code 1 after d, whatever it does then, without running what is
// deferred. The function that it returns calls it off.
func Watchdog(d time.Duration) (stop func()) {
	timer := time.AfterFunc(d, func() { os.Exit(1) })
	return func() { timer.Stop() }
}
