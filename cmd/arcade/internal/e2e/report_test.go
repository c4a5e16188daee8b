package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestTheReportHasTheNumbersOfInspectAndIsAPrivateFileThatGoesWithTheMessages(t *testing.T) {
	t.Parallel()
	m := everyState(t)
	page := m.Must("usage", "report", "--output", "-").Stdout
	found := m.Inspect()
	for state, n := range map[string]int{
		"delivered": found.Counts.Delivered, "pending": found.Counts.Pending, "dead": found.Counts.Dead, "dropped": found.Counts.Dropped,
	} {
		_, tile, _ := strings.Cut(page, `<li class="`+state)
		if _, value, _ := strings.Cut(tile, "<data value="); !strings.HasPrefix(value, fmt.Sprintf("%d>", n)) || n == 0 && state != "dropped" {
			t.Errorf("inspect says that %d are %s, the report says %.40q; want some of each, or this proves nothing", n, state, value)
		}
	}
	if shown := strings.Count(page, "<details class=m>"); shown != len(found.Messages) {
		t.Errorf("the report shows %d messages, inspect %d", shown, len(found.Messages))
	}
	for _, want := range []string{found.Identity.AnonID, *found.Identity.LinkedPrincipalID, found.Messages[0].UUID} {
		if !strings.Contains(page, want) {
			t.Errorf("the report does not show %s", want)
		}
	}
	kept := m.Path("usage.html")
	if r := m.Must("usage", "report", "--no-browser"); !strings.Contains(r.Stdout, kept) {
		t.Errorf("%q does not say where the report is", r.Stdout)
	}
	m.isPrivate(kept)
	m.Must("usage", "clear", "--yes")
	if _, err := os.Stat(kept); err == nil {
		t.Error("the messages are erased, and the report still shows them")
	}
}

// isPrivate wants a file that only its owner can read. On Windows that is up to the home's access list, which it inherits.
func (m *machine) isPrivate(path string) {
	m.Helper()
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 && runtime.GOOS != "windows" {
		m.Errorf("%s: %v, %v; want a file that nobody else can read", path, info, err)
	}
}

// A page in a directory for temporary files would outlive `usage clear`.
func TestAReportIsBesideTheDatabaseOrNowhere(t *testing.T) {
	t.Parallel()
	temporary := t.TempDir()
	m := newMachine(t).with("TMPDIR="+temporary, "TMP="+temporary)
	refused := func(why string) {
		t.Helper()
		r := m.Run("usage", "report")
		if r.Code != 1 || !strings.Contains(r.Stderr, why) || !strings.Contains(r.Stderr, "--output") {
			t.Errorf("it ends with %d and %q; want 1, %q, and the advice to take --output", r.Code, r.Stderr, why)
		}
		m.nothingIn(filepath.Join(temporary, "*"))
	}
	refused("nothing has been recorded yet")
	m.Must("succeed")
	kept := m.Path("usage.html")
	m.Require(os.Mkdir(kept, 0o700))
	refused("cannot be written to " + kept)
	m.nothingIn(m.Path(".arcade-usage-*"))
	m.Require(os.Remove(kept))
	if runtime.GOOS == "windows" { // links need a privilege there
		return
	}
	m.writeAt("elsewhere", "mine")
	m.Require(os.Symlink(filepath.Join(m.Home, "elsewhere"), kept))
	m.Must("usage", "report", "--no-browser")
	if content, err := os.ReadFile(filepath.Join(m.Home, "elsewhere")); string(content) != "mine" || err != nil {
		t.Errorf("what a link leads to has now %q, %v; want the link replaced", content, err)
	}
	m.isPrivate(kept)
}

func (m *machine) nothingIn(pattern string) {
	m.Helper()
	if left, err := filepath.Glob(pattern); len(left) > 0 || err != nil {
		m.Errorf("%q is left behind, %v", left, err)
	}
}

func TestAReportReplacesAFileAndSaysWhereItCannotBe(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Must("succeed")
	m.writeAt("report.html", "an older report")
	old := filepath.Join(m.Home, "report.html")
	m.Require(os.Chmod(old, 0o640))
	m.Must("usage", "report", "--output", "report.html")
	content, err := os.ReadFile(old)
	if err != nil || !strings.HasPrefix(string(content), "<!doctype html>") || !strings.HasSuffix(string(content), "</html>\n") {
		t.Errorf("%.60q, %v; want the whole page", content, err)
	}
	if info, err := os.Stat(old); err != nil || info.Mode().Perm() != 0o640 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v; want the mode that the file had", info.Mode(), err)
	}
	m.nothingIn(filepath.Join(m.Home, ".arcade-usage-*"))
	if r := m.Run("usage", "report", "--output", "."); r.Code != 1 || !strings.Contains(r.Stderr, "cannot be written to .") {
		t.Errorf("--output . ends with %d and %q; want 1 and the reason", r.Code, r.Stderr)
	}
	if runtime.GOOS != "windows" {
		m.Must("usage", "report", "--output", "/dev/null")
		if info, err := os.Stat("/dev/null"); err != nil || info.Mode().IsRegular() {
			t.Fatalf("/dev/null is %v, %v: what is no file must not be replaced", info.Mode(), err)
		}
	}
}
