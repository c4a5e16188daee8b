//go:build linux

package fire

import (
	"os/exec"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// firsts are what the first process of a container may be; each command line is run by a shell.
var firsts = map[string]string{
	"the command is the first process":            `exec unshare -fp --mount-proc arcade succeed`,
	"the first process is the shell that runs it": `exec unshare -fp --mount-proc sh -c 'arcade succeed; exit $?'`,
}

func canUnshare(t *testing.T) {
	t.Helper()
	if said, err := exec.Command("unshare", "-fp", "--mount-proc", "true").CombinedOutput(); err != nil {
		t.Skipf("no container can be made here: %v, %s", err, said)
	}
}

// The kernel ends the flusher with the first process, so the command waits for it. It waits for a second at
// most, which a busy machine may need for the start of a process alone: one of some containers has to do.
func TestACommandOfAContainerHasItsEventDeliveredWhenItEnds(t *testing.T) {
	canUnshare(t)
	for name, script := range firsts {
		t.Run(name, func(t *testing.T) {
			const most = 10
			for n := 1; ; n++ {
				i := newInstallation(t)
				if r := i.Finish(i.shell(script)); r.Code != 0 {
					t.Fatalf("the command ended with %d: %s", r.Code, r.Stderr)
				}
				if len(i.Posthog.Events()) == 1 {
					i.NoViolations()
					return
				}
				if n == most {
					t.Fatalf("the events of %d containers were all lost with them", most)
				}
			}
		})
	}
}

// The request hangs until the test lets it go: had the command waited for its answer, or for the flusher's
// own patience to end, an attempt that failed would be noted.
func TestACommandOfAContainerDoesNotWaitForAServerThatHangs(t *testing.T) {
	canUnshare(t)
	for name, script := range firsts {
		t.Run(name, func(t *testing.T) {
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
			i.Must(flushing...)
			i.AwaitEvents(1)
			i.NoViolations()
		})
	}
}
