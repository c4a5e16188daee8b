package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// used is a machine with messages of every kind.
func used(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.Must("succeed")
	m.Cloud.Meet("ada")
	m.Login()
	m.AwaitEvents(2, time.Minute)
	m.AwaitNoFlusher()
	m.Posthog.SetResults(func(outboxtest.Message) string { return "drop:rejected" })
	m.Run("fail")
	m.AwaitNoFlusher()
	m.Offline()
	m.Must("succeed")
	m.AwaitNoFlusher()
	return m
}

func TestTheReportHasTheNumbersOfInspect(t *testing.T) {
	t.Parallel()
	m := used(t)
	page := m.Must("usage", "report", "--output", "-").Stdout
	found := m.Inspect()
	if found.Counts.Pending != 1 || found.Counts.Dead != 1 || found.Counts.Delivered < 3 {
		t.Fatalf("%+v; want some of each, or the report proves nothing", found.Counts)
	}
	for state, n := range map[string]int{
		"delivered": found.Counts.Delivered, "pending": found.Counts.Pending, "dead": found.Counts.Dead, "dropped": found.Counts.Dropped,
	} {
		_, tile, _ := strings.Cut(page, `<li class="`+state)
		if _, value, _ := strings.Cut(tile, "<data value="); !strings.HasPrefix(value, fmt.Sprintf("%d>", n)) {
			t.Errorf("inspect says that %d are %s, the report says %.40q", n, state, value)
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
}

func TestTheReportIsAPrivateFileThatGoesWithTheMessages(t *testing.T) {
	t.Parallel()
	m := used(t)
	kept := m.Path("usage.html")
	r := m.Must("usage", "report", "--no-browser")
	info, err := os.Stat(kept)
	if err != nil || !testbed.IsPrivate(info) {
		t.Fatalf("%v, %v; want a file that nobody else can read", info, err)
	}
	if !strings.Contains(r.Stdout, kept) {
		t.Errorf("%q does not say where the report is", r.Stdout)
	}
	m.Must("usage", "clear", "--yes")
	if _, err := os.Stat(kept); err == nil {
		t.Error("the messages are erased, and the report still shows them")
	}
}

// A page in a directory for temporary files would outlive `usage clear`.
func TestAReportIsBesideTheDatabaseOrNowhere(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	temporary := t.TempDir()
	m.Env = append(m.Env, "TMPDIR="+temporary, "TMP="+temporary)
	refused := func(why string) {
		t.Helper()
		r := m.Run("usage", "report")
		if r.Code != 1 || !strings.Contains(r.Stderr, why) || !strings.Contains(r.Stderr, "--output") {
			t.Errorf("it ends with %d and %q; want 1, %q, and the advice to take --output", r.Code, r.Stderr, why)
		}
		if left, err := os.ReadDir(temporary); len(left) > 0 || err != nil {
			t.Errorf("%v is left in the directory for temporary files, %v", left, err)
		}
	}
	refused("nothing has been recorded yet")
	m.Must("succeed")
	kept := m.Path("usage.html")
	if err := os.Mkdir(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	refused("cannot be written to " + kept)
	if left, err := filepath.Glob(m.Path(".arcade-usage-*")); len(left) > 0 || err != nil {
		t.Errorf("%q is left behind, %v", left, err)
	}
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" { // links need a privilege there
		return
	}
	elsewhere := filepath.Join(m.Home, "elsewhere")
	if err := os.WriteFile(elsewhere, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, kept); err != nil {
		t.Fatal(err)
	}
	m.Must("usage", "report", "--no-browser")
	if content, err := os.ReadFile(elsewhere); string(content) != "mine" || err != nil {
		t.Errorf("what a link leads to has now %q, %v; want the link replaced", content, err)
	}
	if info, err := os.Lstat(kept); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v; want a file that nobody else can read", info, err)
	}
}

func TestAReportReplacesAFileAndSaysWhereItCannotBe(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.Must("succeed")
	old := filepath.Join(m.Home, "report.html")
	if err := errors.Join(os.WriteFile(old, []byte("an older report"), 0o640), os.Chmod(old, 0o640)); err != nil { // whatever the umask
		t.Fatal(err)
	}
	m.Must("usage", "report", "--output", "report.html")
	content, err := os.ReadFile(old)
	if err != nil || !strings.HasPrefix(string(content), "<!doctype html>") || !strings.HasSuffix(string(content), "</html>\n") {
		t.Errorf("%.60q, %v; want the whole page", content, err)
	}
	if info, err := os.Stat(old); err != nil || info.Mode().Perm() != 0o640 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v; want the mode that the file had", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(m.Home, ".arcade-usage-*")); len(left) > 0 || err != nil {
		t.Errorf("%q is left behind, %v", left, err)
	}
	for _, output := range []string{".", filepath.Join("nowhere", "report.html")} {
		if r := m.Run("usage", "report", "--output", output); r.Code != 1 || !strings.Contains(r.Stderr, "cannot be written to "+output) {
			t.Errorf("--output %s ends with %d and %q; want 1 and the reason", output, r.Code, r.Stderr)
		}
	}
	if runtime.GOOS != "windows" {
		m.Must("usage", "report", "--output", "/dev/null")
		if info, err := os.Stat("/dev/null"); err != nil || info.Mode().IsRegular() {
			t.Fatalf("/dev/null is %v, %v: what is no file must not be replaced", info.Mode(), err)
		}
	}
}

func TestTheReportOfAMachineWithoutAPastSaysSo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	r := m.Must("usage", "report", "--output", "-")
	if !strings.Contains(r.Stdout, "This machine has no id yet") && !strings.Contains(r.Stdout, "<data value=0>0</data>") {
		t.Errorf("the report is\n%s", r.Stdout)
	}
	if entries, err := os.ReadDir(m.Home); err != nil || len(entries) > 0 {
		t.Errorf("the home has %v, %v; looking creates nothing", entries, err)
	}
}
