package detach

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Without /proc the system says neither which program this is nor which descriptors are open.
func TestAChildIsStartedWithoutProc(t *testing.T) {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip(err)
	}
	const noProc = `mount -t tmpfs none /proc`
	if output, err := exec.Command(unshare, "-rm", "sh", "-c", noProc).CombinedOutput(); err != nil {
		t.Skipf("no /proc can be taken away here: %v %s", err, output)
	}
	l := newListener(t)
	cmd := l.parent()
	cmd.Args = []string{"unshare", "-rm", "sh", "-c", noProc + ` && out=$("$0" 3>&1)`, cmd.Path}
	cmd.Path = unshare
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	l.child()
}

func TestAChildThatDoesNotReadIsGone(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	if start(deafMarker, []string{"LARGE=" + strings.Repeat("x", 1<<20)}, nil, 50*time.Millisecond) == nil {
		t.Error("a child that does not read is no error")
	}
	for deadline := time.Now().Add(20 * time.Second); children(t) != ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the killed child is still there, or its zombie: %s", children(t))
		}
	}
}

// children returns the ids of this process's children, dead ones included.
func children(t *testing.T) (pids string) {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		content, _ := os.ReadFile(list) // a thread may end at any moment
		pids += string(content)
	}
	return pids
}
