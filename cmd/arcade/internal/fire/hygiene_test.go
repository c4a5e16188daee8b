//go:build linux

package fire

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// installation is a machine on which the program lies in a place of its own and starts its
// flushers exactly as the released one does, without the variables of the tests.
type installation struct {
	*machine
	program string
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	i := &installation{newMachine(t), filepath.Join(t.TempDir(), "bin", "arcade")}
	i.Env = append(i.Env, testbed.TestAsIs+"=1", "PATH="+filepath.Dir(i.program)+string(filepath.ListSeparator)+os.Getenv("PATH"))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err == nil {
		err = os.Mkdir(filepath.Dir(i.program), 0o755)
	}
	if err == nil {
		err = testbed.WriteProgram(i.program, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.quiet)
	return i
}

// quiet waits for the end of the flushers.
func (i *installation) quiet() {
	i.Helper()
	i.Eventually("its flushers are gone", func() bool { return len(i.children()) == 0 })
}

// shell prepares a script in which `arcade` is the program.
func (i *installation) shell(script string) *exec.Cmd {
	i.Helper()
	cmd := i.Command()
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", script}
	return cmd
}

// children returns the process ids of the program's flushers, which carry no mark but its path.
func (i *installation) children() (pids []int) {
	i.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		i.Fatal(err)
	}
	for _, link := range links {
		target, _ := os.Readlink(link) // a process may end at any moment
		process := filepath.Dir(link)
		environ, _ := os.ReadFile(filepath.Join(process, "environ"))
		pid, err := strconv.Atoi(filepath.Base(process))
		if err == nil && strings.TrimSuffix(target, " (deleted)") == i.program && bytes.Contains(environ, []byte(testbed.Flusher)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// held makes the next flusher hang in its request until the test lets it go on.
func (i *installation) held() *outboxtest.Pause { return i.Posthog.PauseNext(outboxtest.AfterCommit) }

// heldFlusher waits for the request and returns its flusher.
func (i *installation) heldFlusher(pause *outboxtest.Pause) (pid int) {
	i.Helper()
	i.awaitRequest(pause)
	children := i.children()
	if len(children) != 1 {
		i.Fatalf("flushers %v are at work, want one", children)
	}
	return children[0]
}

// What the released program's flusher has from its command: nothing but what it needs.
func TestTortureTheFlusherInheritsNothing(t *testing.T) {
	i := newInstallation(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	cmd := i.Command("succeed")
	cmd.Path = i.program
	cmd.ExtraFiles = []*os.File{writer}
	cmd.Env = append(cmd.Env, "HTTPS_PROXY=http://user:password@localhost:1")
	pause := i.held()
	if r := i.Finish(cmd); r.Code != 0 {
		t.Fatalf("%+v", r)
	}
	pid := i.heldFlusher(pause)
	for fd, target := range descriptors(t, pid) {
		switch {
		case fd == 0 && strings.HasPrefix(target, "pipe:") && target != descriptors(t, os.Getpid())[int(writer.Fd())]:
		case fd == 1 || fd == 2:
			if target != os.DevNull {
				t.Errorf("stream %d is %s, want %s", fd, target, os.DevNull)
			}
		case strings.HasPrefix(target, "anon_inode:"), strings.HasPrefix(target, "/sys/fs/cgroup/"): // Go's runtime
		case strings.HasPrefix(target, "socket:"): // to PostHog
		case strings.HasPrefix(target, i.Path("usage.db")):
		default:
			t.Errorf("descriptor %d is %s, which the flusher has no use for", fd, target)
		}
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range strings.Split(string(environ), "\x00") {
		if name, _, _ := strings.Cut(entry, "="); entry != testbed.Flusher && !isOrdinary(name) && name != "GORACE" {
			t.Errorf("others can read %q in its environment, want nothing but the marker and what is no secret", entry)
		}
	}
	pause.Release()
	i.AwaitEvents(1)
}

// isOrdinary tells the variables that say where a user's files are, and how a program speaks.
func isOrdinary(name string) bool {
	return name == "" || strings.HasPrefix(name, "XDG_") || slices.Contains([]string{"HOME", "PATH", "USER", "LANG", "TMPDIR"}, name)
}

// descriptors returns what the open descriptors of a process are.
func descriptors(t *testing.T, pid int) map[int]string {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	open := map[int]string{}
	for _, link := range links {
		fd, err := strconv.Atoi(filepath.Base(link))
		if err != nil {
			t.Fatal(err)
		}
		if target, err := os.Readlink(link); err == nil {
			open[fd] = target
		}
	}
	return open
}
