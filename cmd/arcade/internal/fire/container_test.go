//go:build linux

package fire

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
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
			i.Must("usage", "flush")
			i.AwaitEvents(1, 15*time.Second)
			i.NoViolations()
		})
	}
}

// on runs a command on the machine with this id.
func (i *installation) on(id string, args ...string) testbed.Result {
	i.Helper()
	file := filepath.Join(i.TempDir(), "machine-id")
	if err := os.WriteFile(file, []byte(id+"\n"), 0o644); err != nil {
		i.Fatal(err)
	}
	r := i.Finish(i.shell("exec unshare -m sh -c 'mount --bind " + file + " /etc/machine-id && exec arcade " + strings.Join(args, " ") + "'"))
	if r.Code != 0 {
		i.Fatalf("arcade %v on %s: %+v", args, id, r)
	}
	return r
}

// A home of many machines, on NFS or in containers: each one that arrives makes a new anon id, once.
func TestTwoMachinesThatShareAHomeMakeTwoAnonIDs(t *testing.T) {
	if said, err := exec.Command("unshare", "-m", "mount", "--bind", "/dev/null", "/etc/machine-id").CombinedOutput(); err != nil {
		t.Skipf("no other machine can be played here: %v, %s", err, said)
	}
	i := newInstallation(t)
	i.Env = append(i.Env, testbed.Flusher) // all stays in the queue
	for range 8 {
		i.on(strings.Repeat("a", 32), "succeed")
		i.on(strings.Repeat("b", 32), "succeed")
	}
	if n := i.Query(`SELECT count(*) FROM messages WHERE kind = 'capture'`); n != "16" {
		t.Errorf("%s events of 16 commands are there", n)
	}
	if n := i.Query(`SELECT count(DISTINCT anon_id) FROM messages`); n != "2" {
		t.Errorf("16 commands that alternate between two machines have made %s anon ids, want 2", n)
	}
	if n := i.Query(`SELECT count(*) FROM machines`); n != "2" {
		t.Errorf("the home knows %s machines, want 2", n)
	}
}
