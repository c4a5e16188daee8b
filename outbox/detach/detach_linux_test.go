package detach

import (
	"os/exec"
	"testing"
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
