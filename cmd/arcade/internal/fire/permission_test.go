//go:build linux

package fire

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// asRoot runs a shell script in Arcade's directory.
func (i *installation) asRoot(script string) {
	i.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir = i.Path("")
	i.Require(cmd.Run())
}

// Each of these keeps a user from their own outbox, which holds one event.
func TestTortureAnOutboxThatCannotBeWrittenCostsNoCommand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script   string
		recorded bool // it keeps nobody from recording
	}{
		"the directory is read-only":                     {"chmod 400 *; chmod 500 .", false},
		"everything is root's, after sudo":               {"chown root * .; chmod 644 *; chmod 755 .", false},
		"the lock is root's":                             {"chown root usage.db.lock", false},
		"the mirror is root's":                           {"chown root usage.json", true},
		"no file can be made, and the mirror is missing": {"rm usage.json; chmod 500 .", true},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstallation(t)
			i.HandOver()
			i.unnoticed(succeeding)
			i.AwaitEvents(1)
			i.quiet()
			anonID := i.anonID()
			i.asRoot(test.script)
			i.unnoticed(succeeding, failing)
			want := 1
			if test.recorded {
				want += 2
				i.AwaitEvents(want) // delivered, too
			}
			i.quiet()
			i.asRoot(fmt.Sprintf("chown %d * .; chmod 600 *; chmod 700 .", testbed.Nobody))
			i.unnoticed(succeeding)
			i.AwaitEvents(want + 1)
			i.quiet()
			i.sound()
			i.stays(anonID)
			i.NoViolations()
		})
	}
}

// Under sudo, HOME may still be the user's: nothing that root makes there may lock them out.
func TestRootLeavesTheOwnersFilesInAUsersHome(t *testing.T) {
	i := newInstallation(t)
	i.HandOver()
	root := *i.Machine
	root.User = nil
	root.Must("succeed")
	if r := (&machine{&root}).logsIn("ada"); r.Code != 0 {
		t.Fatalf("a login as root: %+v", r)
	}
	i.AwaitEvents(3)
	i.quiet()
	root.Must("succeed")
	paths, err := filepath.Glob(i.Path("*"))
	i.Require(err)
	for _, path := range append(paths, i.Path("")) {
		var info syscall.Stat_t
		if err := syscall.Lstat(path, &info); err != nil || info.Uid != testbed.Nobody {
			t.Errorf("%s belongs to user %d (%v), want the owner of the home, %d", path, info.Uid, err, testbed.Nobody)
		}
	}
	for _, args := range [][]string{succeeding, flushing, {"logout"}, {"usage", "status"}} {
		if r := i.Run(args...); r.Code != 0 {
			t.Errorf("arcade %v of the user after root's: %+v", args, r)
		}
	}
}
