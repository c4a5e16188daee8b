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

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// nobody is a user without any rights. Root, who may run the tests, ignores modes.
const nobody = 65534

// guest is a machine used by nobody, whose home is theirs.
type guest struct{ *installation }

func newGuest(t *testing.T) *guest {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make files that belong to somebody else, and become nobody")
	}
	g := &guest{newInstallation(t)}
	for _, path := range []string{filepath.Dir(g.Home), g.Home, filepath.Dir(filepath.Dir(g.program)), filepath.Dir(g.program)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := chown(nobody, g.Home); err != nil {
		t.Fatal(err)
	}
	if err := g.as("--version").Run(); errors.Is(err, fs.ErrPermission) {
		t.Skip("the directory of temporary files is closed to nobody: ", err)
	}
	return g
}

// files returns what lies in Arcade's directory.
func (g *guest) files() []string {
	g.Helper()
	paths, err := filepath.Glob(g.Path("*"))
	if err != nil {
		g.Fatal(err)
	}
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
	roots := func(name string) func(g *guest) error {
		return func(g *guest) error { return chown(0, g.Path(name)) }
	}
	tests := map[string]struct {
		do       func(g *guest) error
		recorded bool // it keeps nobody from recording
	}{
		"the directory is read-only": {do: func(g *guest) error {
			return errors.Join(chmod(0o400, g.files()...), chmod(0o500, g.Path("")))
		}},
		"everything is root's, after sudo": {do: func(g *guest) error {
			return errors.Join(chown(0, g.files()...), chown(0, g.Path("")), chmod(0o755, g.Path("")), chmod(0o644, g.files()...))
		}},
		"the database is root's": {do: roots("usage.db")},
		"the lock is root's":     {do: roots("usage.db.lock")},
		"the mirror is root's":   {do: roots("usage.json"), recorded: true},
		"no file can be made, and the mirror is missing": {recorded: true, do: func(g *guest) error {
			return errors.Join(os.Remove(g.Path("usage.json")), chmod(0o500, g.Path("")))
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t)
			pause := g.held()
			if r := g.Finish(g.as("succeed")); r.Code != 0 {
				t.Fatalf("%+v", r)
			}
			g.heldFlusher(pause)
			pause.Release()
			g.quiet()
			anonID := g.Inspect().Identity.AnonID
			if err := test.do(g); err != nil {
				t.Fatal(err)
			}
			g.unnoticed(succeeding, failing)
			want := 1
			if test.recorded {
				want += 2
				g.AwaitEvents(want) // delivered, too
			}
			g.quiet()
			all := append(g.files(), g.Path(""))
			if err := errors.Join(chown(nobody, all...), chmod(0o600, g.files()...), chmod(0o700, g.Path(""))); err != nil {
				t.Fatal(err)
			}
			g.unnoticed(succeeding)
			g.AwaitEvents(want + 1)
			g.quiet()
			g.soundAs(anonID)
			g.NoViolations()
		})
	}
}

func TestTortureAReadOnlyDiskCostsNoCommandAndCanBeLookedAt(t *testing.T) {
	t.Parallel()
	m := diskMachine(t, testbed.Roomy)
	m.Must("succeed")
	m.Must("succeed")
	testbed.MountTmpfs(t, m.Home, testbed.Roomy, syscall.MS_REMOUNT|syscall.MS_RDONLY)
	m.unnoticed(succeeding, failing)
	found := m.Inspect()
	if found.Counts.Pending != 2 {
		t.Errorf("inspect shows %d events, want the two that were recorded before", found.Counts.Pending)
	}
	if r := m.Run("usage", "status", "--json"); r.Code != 1 || !strings.Contains(r.Stdout, `"reason": "read_only"`) {
		t.Errorf("status on a read-only disk: %+v; want to be told that nothing can be recorded", r)
	}
	if r := m.Run("usage", "disable"); r.Code != 1 {
		t.Errorf("disable on a read-only disk: %+v; want to be told that it could not be done", r)
	}
	testbed.MountTmpfs(t, m.Home, testbed.Roomy, syscall.MS_REMOUNT)
	m.unnoticed(succeeding)
	m.soundAs(found.Identity.AnonID)
	m.arrives(3)
}

// A write beyond `ulimit -f` sends a signal to the process.
func TestTortureSignalsOfFailedWritesDoNotEndACommand(t *testing.T) {
	i := newInstallation(t)
	for _, limit := range []string{"0", "1", "8", "40"} { // in blocks of 512 bytes
		i.same([]string{limit}, i.Finish(i.shell("ulimit -f "+limit+"; arcade succeed")),
			i.Finish(i.shell("ulimit -f "+limit+"; ARCADE_USAGE_TRACKING=0 arcade succeed")))
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
	g.Cloud.Meet("ada")
	asRoot("succeed")
	asRoot(g.loginArgs()...)
	g.AwaitEvents(3)
	g.Eventually("the flushers are gone", func() bool { return len(g.children()) == 0 })
	asRoot("succeed")
	for _, path := range append(g.files(), g.Path("")) {
		var info syscall.Stat_t
		if err := syscall.Lstat(path, &info); err != nil || info.Uid != nobody {
			t.Errorf("%s belongs to user %d (%v), want the owner of the home, %d", path, info.Uid, err, nobody)
		}
	}
	for _, args := range [][]string{{"succeed"}, {"usage", "flush"}, {"logout"}, {"usage", "status"}} {
		if r := g.Finish(g.as(args...)); r.Code != 0 {
			t.Errorf("arcade %v of the user after root's: %+v", args, r)
		}
	}
}
