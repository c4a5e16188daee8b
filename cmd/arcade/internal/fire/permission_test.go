//go:build linux

package fire

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// guest is an installation used by testbed.Nobody, whose home is theirs.
type guest struct{ *installation }

func newGuest(t *testing.T) *guest {
	t.Helper()
	g := &guest{newInstallation(t)}
	g.HandOver()
	return g
}

// files returns what lies in Arcade's directory.
func (g *guest) files() []string {
	g.Helper()
	paths, err := filepath.Glob(g.Path("*"))
	g.Require(err)
	return paths
}

func (g *guest) unnoticed(commands ...[]string) {
	g.Helper()
	for _, args := range commands {
		off := g.AsNobody(args...)
		off.Env = append(off.Env, "ARCADE_USAGE_TRACKING=0")
		g.same(args, g.Finish(g.AsNobody(args...)), g.Finish(off))
	}
}

func chmod(mode os.FileMode, paths ...string) (err error) {
	for _, path := range paths {
		err = errors.Join(err, os.Chmod(path, mode))
	}
	return err
}

func chown(uid int, paths ...string) (err error) {
	for _, path := range paths {
		err = errors.Join(err, os.Lchown(path, uid, uid))
	}
	return err
}

// Each of these keeps a user from their own outbox, which holds one event.
func TestTortureAnOutboxThatCannotBeWrittenCostsNoCommand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		do       func(g *guest) error
		recorded bool // it keeps nobody from recording
	}{
		"the directory is read-only": {do: func(g *guest) error {
			return errors.Join(chmod(0o400, g.files()...), chmod(0o500, g.Path("")))
		}},
		"everything is root's, after sudo": {do: func(g *guest) error {
			return errors.Join(chown(0, g.files()...), chown(0, g.Path("")), chmod(0o755, g.Path("")), chmod(0o644, g.files()...))
		}},
		"the lock is root's":   {do: func(g *guest) error { return chown(0, g.Path("usage.db.lock")) }},
		"the mirror is root's": {do: func(g *guest) error { return chown(0, g.Path("usage.json")) }, recorded: true},
		"no file can be made, and the mirror is missing": {recorded: true, do: func(g *guest) error {
			return errors.Join(os.Remove(g.Path("usage.json")), chmod(0o500, g.Path("")))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t)
			g.unnoticed(succeeding)
			g.AwaitEvents(1)
			g.quiet()
			anonID := g.anonID()
			g.Require(test.do(g))
			g.unnoticed(succeeding, failing)
			want := 1
			if test.recorded {
				want += 2
				g.AwaitEvents(want) // delivered, too
			}
			g.quiet()
			all := append(g.files(), g.Path(""))
			g.Require(errors.Join(chown(testbed.Nobody, all...), chmod(0o600, g.files()...), chmod(0o700, g.Path(""))))
			g.unnoticed(succeeding)
			g.AwaitEvents(want + 1)
			g.quiet()
			g.sound()
			g.stays(anonID)
			g.NoViolations()
		})
	}
}

// Under sudo, HOME may still be the user's: nothing that root makes there may lock them out.
func TestRootLeavesTheOwnersFilesInAUsersHome(t *testing.T) {
	g := newGuest(t)
	asRoot := func(args ...string) {
		t.Helper()
		cmd := g.Command(args...)
		cmd.Stdin = strings.NewReader("arc_ada\n")
		if r := g.Finish(cmd); r.Code != 0 {
			t.Fatalf("arcade %v as root: %+v", args, r)
		}
	}
	asRoot("succeed")
	asRoot(g.loginArgs("ada")...)
	g.AwaitEvents(3)
	g.quiet()
	asRoot("succeed")
	for _, path := range append(g.files(), g.Path("")) {
		var info syscall.Stat_t
		if err := syscall.Lstat(path, &info); err != nil || info.Uid != testbed.Nobody {
			t.Errorf("%s belongs to user %d (%v), want the owner of the home, %d", path, info.Uid, err, testbed.Nobody)
		}
	}
	for _, args := range [][]string{succeeding, flushing, {"logout"}, {"usage", "status"}} {
		if r := g.Finish(g.AsNobody(args...)); r.Code != 0 {
			t.Errorf("arcade %v of the user after root's: %+v", args, r)
		}
	}
}
