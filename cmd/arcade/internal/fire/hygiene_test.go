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
	"time"

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
	i.install()
	t.Cleanup(func() { i.Eventually("its flushers are gone", func() bool { return len(i.children()) == 0 }) })
	return i
}

// install puts the program where it belongs, again if need be, by a rename as packages do.
func (i *installation) install() {
	i.Helper()
	self, err := os.Executable()
	if err != nil {
		i.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(i.program), 0o755); err != nil {
		i.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err == nil {
		err = testbed.WriteProgram(i.program+".new", content)
	}
	if err == nil {
		err = os.Rename(i.program+".new", i.program)
	}
	if err != nil {
		i.Fatal(err)
	}
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

func procFile(t testing.TB, pid int, name string) string {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// A shell waits until nobody holds the other end of its pipe any more. If the flusher held it,
// the shell would end after the flusher.
func TestTorturePipesEndWithTheCommandAlthoughItsFlusherHangs(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		`out=$(arcade succeed)`,
		`out=$(arcade succeed 2>&1)`,
		`arcade succeed | cat`,
		`arcade fail x 2>&1 | cat`,
		`out=$(arcade succeed 3>&1)`,
		`exec 9>&1; out=$(arcade succeed 4>&1 5>&1 7<&0)`,
		`arcade succeed <&- >&- 2>&-`,
	} {
		t.Run(script, func(t *testing.T) {
			i := newInstallation(t)
			pause := i.held()
			defer pause.Release()
			cmd := i.shell(script)
			cmd.Stdin = strings.NewReader("")
			i.Finish(cmd)
			if len(i.children()) == 0 {
				t.Error("the script ended with the flusher and not with the command")
			}
			i.heldFlusher(pause)
		})
	}
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
	t.Run("its files", func(t *testing.T) {
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
	})
	t.Run("its directory", func(t *testing.T) {
		if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || cwd != "/" {
			t.Errorf("it works in %q (%v) and keeps that busy, want /", cwd, err)
		}
	})
	t.Run("its session", func(t *testing.T) {
		_, rest, _ := strings.Cut(procFile(t, pid, "stat"), ") ")
		fields := strings.Fields(rest) // from the third of proc_pid_stat(5) on
		parent, group, session, terminal := fields[1], fields[2], fields[3], fields[4]
		if own := strconv.Itoa(pid); group != own || session != own || terminal != "0" || parent == strconv.Itoa(os.Getpid()) {
			t.Errorf("process %s: group %s, session %s, terminal %s, parent %s; want its own group and session, no terminal", own, group, session, terminal, parent)
		}
	})
	t.Run("its environment and arguments", func(t *testing.T) {
		for _, entry := range strings.Split(procFile(t, pid, "environ"), "\x00") {
			if name, _, _ := strings.Cut(entry, "="); entry != testbed.Flusher && !isOrdinary(name) && name != "GORACE" {
				t.Errorf("others can read %q in its environment, want nothing but the marker and what is no secret", entry)
			}
		}
		if line := procFile(t, pid, "cmdline"); line != filepath.Base(i.program)+"\x00" {
			t.Errorf("others can read in its arguments %q", line)
		}
	})
	pause.Release()
	i.AwaitEvents(1, time.Minute)
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

func TestTortureNothingThatHappensToTheTerminalReachesTheFlusher(t *testing.T) {
	i := newInstallation(t)
	pause := i.held()
	s := testbed.OnTerminal(t, 80, i.shell(`arcade succeed; echo recorded; cat; sleep 60`))
	s.Await("recorded\n")
	pid := i.heldFlusher(pause)
	s.Typed("\x03") // Ctrl-C, to whoever is in the foreground
	s.Typed("\x1a") // Ctrl-Z
	s.Tty.Close()
	s.Master.Close() // the window is closed: SIGHUP to the session
	if err := s.Cmd.Wait(); err == nil {
		t.Error("the shell has not noticed")
	}
	if children := i.children(); !slices.Equal(children, []int{pid}) {
		t.Errorf("flushers %v are at work, want %d to go on", children, pid)
	}
	pause.Release()
	i.Eventually("the flusher settles and leaves", func() bool { return len(i.children()) == 0 })
	if st := i.Status(); st.Pending != 0 || len(i.Posthog.Commits()) != 1 {
		t.Errorf("%d pending, %d commits: want the one event settled by the flusher that was there", st.Pending, len(i.Posthog.Commits()))
	}
}
