//go:build linux

package fire

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// installation is a machine on which the program lies in a place of its own and starts its
// flushers exactly as the released one does, without the variables of the tests.
type installation struct{ *machine }

func newInstallation(t *testing.T) *installation {
	t.Helper()
	i := &installation{newMachine(t)}
	i.Install()
	i.Env = append(i.Env, testbed.TestAsIs+"=1", "PATH="+filepath.Dir(i.Program)+":"+os.Getenv("PATH"))
	t.Cleanup(i.quiet)
	return i
}

// quiet waits for the end of the flushers.
func (i *installation) quiet() {
	i.Helper()
	i.Eventually("its flushers are gone", func() bool { return len(i.flushers()) == 0 })
}

// shell prepares a script in which `arcade` is the program.
func (i *installation) shell(script string) *exec.Cmd {
	i.Helper()
	cmd := i.Command()
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", script}
	return cmd
}

// flushers returns the process ids of the program's flushers, which carry no mark but its path.
func (i *installation) flushers() (pids []int) {
	i.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	i.Require(err)
	for _, link := range links {
		target, _ := os.Readlink(link) // a process may end at any moment
		process := filepath.Dir(link)
		environ, _ := os.ReadFile(filepath.Join(process, "environ"))
		pid, err := strconv.Atoi(filepath.Base(process))
		if err == nil && strings.TrimSuffix(target, " (deleted)") == i.Program && bytes.Contains(environ, []byte(testbed.Flusher)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// inContainers runs a command as what the first process of a container may be, in an installation of each.
func inContainers(t *testing.T, test func(t *testing.T, script string)) {
	if said, err := exec.Command("unshare", "-fp", "--mount-proc", "true").CombinedOutput(); err != nil {
		t.Skipf("no container can be made here: %v, %s", err, said)
	}
	for name, script := range map[string]string{
		"the command is the first process":            `exec unshare -fp --mount-proc arcade succeed`,
		"the first process is the shell that runs it": `exec unshare -fp --mount-proc sh -c 'arcade succeed; exit $?'`,
	} {
		t.Run(name, func(t *testing.T) { test(t, script) })
	}
}

// The kernel ends the flusher with the first process, so the command waits for it. It waits for a second at
// most, which a busy machine may need for the start of a process alone: one of some containers has to do.
func TestACommandOfAContainerHasItsEventDeliveredWhenItEnds(t *testing.T) {
	inContainers(t, func(t *testing.T, script string) {
		const most = 10
		for range most {
			i := newInstallation(t)
			if r := i.Finish(i.shell(script)); r.Code != 0 {
				t.Fatalf("the command ended with %d: %s", r.Code, r.Stderr)
			}
			if i.NoViolations(); len(i.Posthog.Events()) == 1 {
				return
			}
		}
		t.Fatalf("the events of %d containers were all lost with them", most)
	})
}

// The request hangs until the test lets it go: had the command waited for its answer, or for the flusher's
// own patience to end, an attempt that failed would be noted.
func TestACommandOfAContainerDoesNotWaitForAServerThatHangs(t *testing.T) {
	inContainers(t, func(t *testing.T, script string) {
		i := newInstallation(t)
		i.Posthog.SetFault(outboxtest.MustFault("hang"))
		if r := i.Finish(i.shell(script)); r.Code != 0 {
			t.Errorf("the command ended with %d: %s", r.Code, r.Stderr)
		}
		if pending := i.count(outbox.Pending); pending != 1 {
			t.Errorf("%d messages are pending, want the one that nobody has taken", pending)
		}
		if failures := i.Query(`SELECT failures FROM delivery`); failures != "0" {
			t.Errorf("%s attempts have failed: the command waited until its flusher gave up", failures)
		}
		i.Posthog.SetFaults()
		i.arrives(1)
	})
}
