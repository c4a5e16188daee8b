package report_test

import (
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// browser finds Chromium. A machine without it skips the test; CI on Linux on x86 has to have it.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" && runtime.GOOS+runtime.GOARCH == "linuxamd64" {
		t.Fatal("there is no Chromium, and CI has to have one: apt-get install chromium")
	}
	t.Skip("there is no Chromium on this machine: the page is not looked at in a browser")
	return ""
}

// measure lays pages out in frames of both widths, since a window cannot be narrower than 500 pixels, and opens what
// is folded. It returns for each page and width how much wider it is, how much is drawn outside its drawing and lies over
// something else, and whether it is styled for the theme; and what the browser complains of. One start of the browser
// shows them all: a start takes longer than all that it is asked.
func measure(t *testing.T, dark bool, pages ...string) (measured []string, complaints string) {
	t.Helper()
	const script = `<script>onload = () => document.title = [...document.querySelectorAll("iframe")].map(frame => {
		const page = frame.contentDocument, wide = page.documentElement.clientWidth;
		page.querySelectorAll("details").forEach(d => d.open = true);
		const out = [...page.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > wide + 1);
		const astray = [...page.querySelectorAll("svg rect, svg path")].filter(e => {
			const part = e.getBoundingClientRect(), all = e.ownerSVGElement.getBoundingClientRect();
			return part.left < all.left - 3 || part.right > all.right + 3 || part.top < all.top - 3 || part.bottom > all.bottom + 3;
		});
		const [red] = getComputedStyle(page.body).backgroundColor.match(/\d+/);
		return "wider by " + (page.documentElement.scrollWidth - wide) + ", sticking out " + out.length + ", astray " + astray.length +
			", styled " + (getComputedStyle(page.querySelector("main")).paddingTop != "0px") + ", dark " + (red < 64);
	}).join(";")</script>`
	frames := "<!doctype html><meta charset=utf-8><meta name=color-scheme content='light dark'>"
	for _, page := range pages {
		for _, width := range []int{400, 1200} {
			frames += fmt.Sprintf(`<iframe style="width:%dpx;height:900px;border:0" srcdoc="%s"></iframe>`, width, html.EscapeString(page))
		}
	}
	home, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home) // its children may write for a moment yet: t.TempDir would fail the test
	file := filepath.Join(home, "frames.html")
	if err := os.WriteFile(file, []byte(frames+script), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // for one that hangs: a busy machine needs a minute
	defer cancel()
	cmd := exec.CommandContext(ctx, browser(t), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr",
		"--user-data-dir="+home, "--blink-settings=preferredColorScheme="+map[bool]string{true: "0", false: "1"}[dark],
		"--window-size=1400,1000", "--dump-dom", "file://"+file)
	cmd.Env = append(os.Environ(), "HOME="+home)
	// Into files: its children keep a pipe open for as long as they like.
	stdout, stderr := output(t, home, "stdout"), output(t, home, "stderr")
	defer stdout.Close()
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	failure := cmd.Run()
	said, _ := os.ReadFile(stderr.Name())
	if failure != nil {
		t.Fatalf("chromium: %v\n%s", failure, said)
	}
	dump, _ := os.ReadFile(stdout.Name())
	complaints = strings.Join(regexp.MustCompile(`(?m)^.*CONSOLE.*$`).FindAllString(string(said), -1), "\n")
	return strings.Split(between(t, string(dump), "<title>", "</title>"), ";"), complaints
}

func output(t *testing.T, directory, name string) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(directory, name))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestABrowserShowsThePageInTheDarkWithoutComplaintAndWithoutScrollingSideways(t *testing.T) {
	t.Parallel()
	browser(t)
	var names, list []string
	for name, page := range everyPage(t) {
		names, list = append(names, name), append(list, page)
	}
	measured, complaints := measure(t, true, list...)
	for i, got := range measured {
		if want := "wider by 0, sticking out 0, astray 0, styled true, dark true"; got != want {
			t.Errorf("%s: %s, want %s", names[i/2], got, want)
		}
	}
	if complaints != "" {
		t.Errorf("the browser complains:\n%s", complaints)
	}
}

// The test above says nothing if it cannot fail.
func TestABrowserNoticesAWidePageInTheLightAndWhatThePolicyForbids(t *testing.T) {
	t.Parallel()
	browser(t)
	var list []string
	for _, bad := range []string{
		"<svg width=900 height=9></svg>", "<svg width=9 height=9><rect width=99 height=9 /></svg>", "<p style='color:red'>", "<img src=x.png>",
		"<script>1</script>",
	} {
		list = append(list, strings.Replace(written(t, one()), "<main>", "<main>"+bad, 1))
	}
	measured, complaints := measure(t, false, list...)
	if strings.HasPrefix(measured[0], "wider by 0") || measured[1] != "wider by 0, sticking out 0, astray 0, styled true, dark false" {
		t.Errorf("a page that is 900 pixels wide is %q at 400 and %q at 1200, want it noticed at 400 alone", measured[0], measured[1])
	}
	if !strings.Contains(measured[2], "astray 1") {
		t.Errorf("a drawing with a bar that leaves it is %q, want it noticed", measured[2])
	}
	for _, kind := range []string{"inline style", "loading the image", "inline script"} {
		if !strings.Contains(strings.ToLower(complaints), kind) {
			t.Errorf("%s passes: the policy does not forbid it, or the test does not see what the browser says:\n%s", kind, complaints)
		}
	}
}
