//go:build unix

package detach

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWithTooFewDescriptorsStartFailsAndLeavesNothingOpen(t *testing.T) {
	const alone = "DETACH_TEST_ALONE" // set in a process that runs this test only
	if os.Getenv(alone) == "" {
		cmd := again(t, alone+"=1")
		cmd.Args = append(cmd.Args, "-test.run=^"+t.Name()+"$")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
		return
	}
	check(t, Start(dyingMarker, nil)) // Go opens some once in a process
	var limit unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	restrict := func(n uint64) { check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: limit.Max})) }
	before, failures := nextDescriptor(t), 0
	const attempts = 20
	for spare := range attempts {
		restrict(uint64(before + spare))
		if err := Start(dyingMarker, nil); err != nil {
			failures++
		}
	}
	restrict(limit.Cur)
	// A child that has not been waited for yet has a descriptor of its own.
	for deadline := time.Now().Add(long); nextDescriptor(t) > before; time.Sleep(time.Millisecond) {
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
	check(t, err)
	unix.Close(fd)
	return fd
}

// A shell waits until no process holds the other end of its pipe. Without /proc the system says neither which program
// this is nor which descriptors are open: there the child still has its program, found by a relative path.
func TestAShellDoesNotWaitForTheChild(t *testing.T) {
	const noProc = `mount -t tmpfs none /proc`
	for _, script := range []string{
		`out=$("$0")`,
		`out=$("$0" 2>&1)`,
		`"$0" | cat`,
		`out=$("$0" 3>&1)`,
		`exec 9>&1; out=$("$0" 4>&1 5>&1 7<&0)`,
		`"$0" <&- >&- 2>&-`,
		`cd "${0%/*}"; unshare -rm sh -c '` + noProc + ` && out=$("./$0" 3>&1)' "${0##*/}"`,
	} {
		t.Run(script, func(t *testing.T) {
			if strings.Contains(script, noProc) && exec.Command("sh", "-c", "unshare -rm "+noProc).Run() != nil {
				t.Skip("/proc cannot be hidden here")
			}
			l := newListener(t)
			cmd := l.parent()
			cmd.Args = []string{"sh", "-c", script, cmd.Path}
			cmd.Path = "/bin/sh"
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			l.child() // it has lived on
		})
	}
}

// A shell hands some on with 3<file.
func TestAProcessThatIsNoChildKeepsItsDescriptors(t *testing.T) {
	reader, _ := pipe(t)
	inherited, err := unix.Dup(int(reader.Fd())) // one that an exec does not close
	check(t, err)
	defer unix.Close(inherited)
	is, err := Child(marker)
	if _, lost := unix.FcntlInt(uintptr(inherited), unix.F_GETFD, 0); is || err != nil || lost != nil {
		t.Errorf("a child: %v, %v; descriptor %d: %v; want none, and the descriptor still open", is, err, inherited, lost)
	}
}

func TestAChildHasASessionOfItsOwnAndLeavesNoZombie(t *testing.T) {
	l := newListener(t)
	check(t, Start(marker, l.environment()))
	child := l.child()
	session, err := unix.Getsid(child.PID)
	group, groupErr := unix.Getpgid(child.PID)
	if err != nil || groupErr != nil || session != child.PID || group != child.PID {
		t.Errorf("process %d has session %d and group %d (%v, %v): the terminal's signals reach it",
			child.PID, session, group, err, groupErr)
	}
	child.connection.Close() // which ends it
	for deadline := time.Now().Add(long); unix.Kill(child.PID, 0) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a child that has ended stays a zombie as long as this process lives")
		}
	}
}
