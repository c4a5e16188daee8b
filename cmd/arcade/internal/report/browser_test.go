package report_test

import (
	"context"
	"fmt"
	"html"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/report"
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

// browse opens a file without a screen and returns what Chromium prints, and what it complains of.
func browse(t *testing.T, file string, flags ...string) (out, complaints string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	home, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home) // its children may write for a moment yet: t.TempDir would fail the test
	flags = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr", "--user-data-dir=" + home,
	}, flags...)
	cmd := exec.CommandContext(ctx, browser(t), append(flags, "file://"+file)...)
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.WaitDelay = time.Second
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, stderr.String())
	}
	return stdout.String(), strings.Join(regexp.MustCompile(`(?m)^.*CONSOLE.*$`).FindAllString(stderr.String(), -1), "\n")
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// measure lays pages out in frames, since a window cannot be narrower than 500 pixels. It opens
// what is folded and says of each frame how much wider the page is, and how much sticks out.
func measure(t *testing.T, width int, pages ...string) (results []string, complaints string) {
	t.Helper()
	const script = `<script>onload = () => document.title = [...document.querySelectorAll("iframe")].map(frame => {
		const page = frame.contentDocument, wide = page.documentElement.clientWidth;
		page.querySelectorAll("details").forEach(d => d.open = true);
		const out = [...page.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > wide + 1);
		return "wider by " + (page.documentElement.scrollWidth - wide) + ", sticking out " + out.length +
			", styled " + (getComputedStyle(page.querySelector("main")).paddingTop != "0px");
	}).join(";")</script>`
	frames := "<!doctype html><meta charset=utf-8>"
	for _, page := range pages {
		frames += fmt.Sprintf(`<iframe style="width:%dpx;height:900px;border:0" srcdoc="%s"></iframe>`, width, html.EscapeString(page))
	}
	out, complaints := browse(t, file(t, "frames.html", frames+script), "--window-size=1400,1000", "--dump-dom")
	return strings.Split(between(t, out, "<title>", "</title>"), ";"), complaints
}

const fits = "wider by 0, sticking out 0, styled true"

func TestABrowserShowsThePageWithoutComplaintAndWithoutScrollingSideways(t *testing.T) {
	browser(t)
	var names, list []string
	for name, data := range pages() {
		names, list = append(names, name), append(list, written(t, data))
	}
	for _, width := range []int{400, 1200} {
		results, complaints := measure(t, width, list...)
		for i, name := range names {
			if results[i] != fits {
				t.Errorf("%s at %d pixels: %s, want %s", name, width, results[i], fits)
			}
		}
		if complaints != "" {
			t.Errorf("at %d pixels the browser complains:\n%s", width, complaints)
		}
	}
}

// The test above says nothing if it cannot fail.
func TestABrowserNoticesAWidePageAndWhatThePolicyForbids(t *testing.T) {
	browser(t)
	var list []string
	for _, bad := range []string{"<svg width=900 height=9></svg>", "<p style='color:red'>", "<img src=x.png>", "<script>1</script>"} {
		list = append(list, strings.Replace(written(t, one()), "<main>", "<main>"+bad, 1))
	}
	results, complaints := measure(t, 400, list...)
	if results[0] == fits {
		t.Error("a page that is 900 pixels wide passes at 400")
	}
	for _, kind := range []string{"inline style", "loading the image", "inline script"} {
		if !strings.Contains(strings.ToLower(complaints), kind) {
			t.Errorf("%s passes: the policy does not forbid it, or the test does not see what the browser says:\n%s", kind, complaints)
		}
	}
}

// The pictures are for people: ARCADE_REPORT_PICTURES names a directory that keeps them.
func TestPicturesOfThePageInBothThemes(t *testing.T) {
	browser(t)
	list := map[string]report.Data{"weeks": weeks()}
	directory := os.Getenv("ARCADE_REPORT_PICTURES")
	if directory == "" {
		directory = t.TempDir()
	} else {
		list = pages()
	}
	for name, data := range list {
		source := file(t, name+".html", written(t, data))
		for _, width := range []int{400, 1200} {
			for theme, dark := range map[string]bool{"light": false, "dark": true} {
				path := filepath.Join(directory, fmt.Sprintf("%s-%s-%d.png", name, theme, width))
				if corner := photograph(t, source, path, width, dark); (corner < 0x4000) != dark {
					t.Errorf("%s: the brightness of the ground is %#x, which is not that of the %s theme", path, corner, theme)
				}
			}
		}
	}
}

// photograph writes a picture of a page and returns the brightness of its ground.
func photograph(t *testing.T, source, path string, width int, dark bool) uint32 {
	t.Helper()
	scheme := map[bool]string{true: "0", false: "1"}[dark]
	browse(t, source, "--blink-settings=preferredColorScheme="+scheme, fmt.Sprintf("--window-size=%d,3000", width), "--screenshot="+path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if got := picture.Bounds().Size(); got != image.Pt(width, 3000) {
		t.Errorf("%s is %v, want %d pixels wide", path, got, width)
	}
	_, green, _, _ := picture.At(2, 2).RGBA()
	return green
}
