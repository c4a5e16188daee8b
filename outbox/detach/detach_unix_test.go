//go:build unix

package detach

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inOwnProcess runs the calling test again in a process of its own, and reports whether this is it.
func inOwnProcess(t *testing.T) bool {
	t.Helper()
	const alone = "DETACH_TEST_ALONE"
	if os.Getenv(alone) != "" {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), alone+"=1")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
	return false
}

func TestWithTooFewDescriptorsStartFailsAndLeavesNothingOpen(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	usual := limitDescriptors(t, 1<<10)
	if err := Start(dyingMarker, nil); err != nil { // Go opens some once in a process
		t.Fatal(err)
	}
	before, failures := nextDescriptor(t), 0
	const attempts = 20
	for spare := range attempts {
		limitDescriptors(t, before+spare)
		if err := Start(dyingMarker, nil); err != nil {
			failures++
		}
	}
	limitDescriptors(t, usual)
	// A child that has not been waited for yet has a descriptor of its own.
	for deadline := time.Now().Add(20 * time.Second); nextDescriptor(t) > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the next free descriptor is %d, and was %d: something is left open", nextDescriptor(t), before)
		}
	}
	if failures < 3 || failures == attempts {
		t.Errorf("%d of %d attempts failed: the limit was never in the way, or always", failures, attempts)
	}
}

func nextDescriptor(t *testing.T) int {
	t.Helper()
	fd, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	return fd
}

// limitDescriptors sets how many descriptors this process may have, and returns how many it might.
func limitDescriptors(t *testing.T, n int) (before int) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	before = int(limit.Cur)
	limit.Cur = uint64(n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return before
}

// A shell waits until no process holds the other end of its pipe.
func TestAShellDoesNotWaitForTheChild(t *testing.T) {
	for _, script := range []string{
		`out=$("$0")`,
		`out=$("$0" 2>&1)`,
		`"$0" | cat`,
		`out=$("$0" 3>&1)`,
		`exec 9>&1; out=$("$0" 4>&1 5>&1 7<&0)`,
		`"$0" <&- >&- 2>&-`,
	} {
		t.Run(script, func(t *testing.T) {
			l := newListener(t)
			cmd := l.parent()
			cmd.Args = []string{"sh", "-c", script, cmd.Path}
			cmd.Path = "/bin/sh"
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			child, _ := l.child()
			if err := syscall.Kill(child.PID, 0); err != nil {
				t.Errorf("the script ended with the child and not with the command: %v", err)
			}
		})
	}
}

func TestAChildHasASessionOfItsOwn(t *testing.T) {
	l := newListener(t)
	cmd := l.parent()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	child, _ := l.child()
	session, err := unix.Getsid(child.PID)
	group, groupErr := unix.Getpgid(child.PID)
	if err != nil || groupErr != nil || session != child.PID || group != child.PID {
		t.Errorf("process %d has session %d and group %d (%v, %v): the terminal's signals reach it", child.PID, session, group, err, groupErr)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGHUP); err == nil {
		t.Error("a signal to the command's group reaches a process: the child is in it")
	}
}

// ps shows what every user of the machine can see of a process.
func TestNobodySeesWhatAChildIsGiven(t *testing.T) {
	l := newListener(t)
	l.start("HTTPS_PROXY=http://user:hunter2@localhost:1")
	child, _ := l.child()
	for _, format := range []string{"-ww", "eww"} {
		seen, err := exec.Command("ps", format, "-p", fmt.Sprint(child.PID)).CombinedOutput()
		if err != nil {
			t.Skipf("ps %s: %v %s", format, err, seen)
		}
		if bytes.Contains(seen, []byte("hunter2")) {
			t.Errorf("ps shows the environment that was handed over:\n%s", seen)
		}
	}
}
