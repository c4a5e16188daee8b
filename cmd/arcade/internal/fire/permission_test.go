//go:build linux

package fire

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user without any rights. Root, who may run the tests, ignores modes.
const nobody = 65534

// guest is an installation used by nobody, whose home is theirs.
type guest struct{ *installation }

func newGuest(t *testing.T) *guest {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make files that belong to somebody else, and become nobody")
	}
	g := &guest{newInstallation(t)}
	for _, path := range []string{g.Home, g.program} {
		g.Require(chmod(0o755, filepath.Dir(path), filepath.Dir(filepath.Dir(path))))
	}
	g.Require(chmod(0o755, g.Home))
	g.Require(chown(nobody, g.Home))
	if err := g.as("--version").Run(); errors.Is(err, fs.ErrPermission) {
		t.Skip("the directory of temporary files is closed to nobody: ", err)
	}
	return g
}

// files returns what lies in Arcade's directory.
func (g *guest) files() []string {
	g.Helper()
	paths, err := filepath.Glob(g.Path("*"))
	g.Require(err)
	return paths
}

// as prepares a command of nobody's.
func (g *guest) as(args ...string) *exec.Cmd {
	g.Helper()
	cmd := g.Command(args...)
	cmd.Path = g.program
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

func (g *guest) unnoticed(commands ...[]string) {
	g.Helper()
	for _, args := range commands {
		off := g.as(args...)
		off.Env = append(off.Env, "ARCADE_USAGE_TRACKING=0")
		g.same(args, g.Finish(g.as(args...)), g.Finish(off))
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
			g.Require(errors.Join(chown(nobody, all...), chmod(0o600, g.files()...), chmod(0o700, g.Path(""))))
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
		cmd.Path, cmd.Stdin = g.program, strings.NewReader("arc_ada\n")
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
		if err := syscall.Lstat(path, &info); err != nil || info.Uid != nobody {
			t.Errorf("%s belongs to user %d (%v), want the owner of the home, %d", path, info.Uid, err, nobody)
		}
	}
	for _, args := range [][]string{succeeding, flushing, {"logout"}, {"usage", "status"}} {
		if r := g.Finish(g.as(args...)); r.Code != 0 {
			t.Errorf("arcade %v of the user after root's: %+v", args, r)
		}
	}
}
