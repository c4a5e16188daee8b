//go:build unix

package browser

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is for the busiest machine: what should end has ended by then.
const patience = time.Minute

func TestTheBrowserThatTheUserChoseIsOpened(t *testing.T) {
	dir := t.TempDir()
	opened := filepath.Join(dir, "opened")
	script := filepath.Join(dir, "mybrowser")
	spaced := filepath.Join(dir, "My Browser")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho noise; echo \"$@\" > "+opened+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(script, spaced); err != nil {
		t.Fatal(err)
	}
	for browser, want := range map[string]string{
		script:                              "https://example.com/?a=1&b=2",
		script + " --new %s --end":          "--new https://example.com/?a=1&b=2 --end",
		"/nowhere/at/all:" + script:         "https://example.com/?a=1&b=2",
		`"` + spaced + `" --profile='a b'`:  "--profile=a b https://example.com/?a=1&b=2",
		"'" + spaced + "' it's":             "it's https://example.com/?a=1&b=2",
		"false:" + script + " --profile=%s": "--profile=https://example.com/?a=1&b=2",
		"false":                             "",
		"/nowhere/at/all":                   "",
		" ":                                 "",
	} {
		_ = os.Remove(opened)
		env := func(name string) string { return map[string]string{"BROWSER": browser}[name] }
		err := open("https://example.com/?a=1&b=2", env, patience)
		got, _ := os.ReadFile(opened)
		if strings.TrimSpace(string(got)) != want || (err != nil) != (want == "") {
			t.Errorf("BROWSER=%s was started with %q, %v; want %q, and an error without it: no browser shows the address",
				browser, got, err, want)
		}
	}
}

func TestABrowserThatGoesOnRunningIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	script, ending := filepath.Join(dir, "mybrowser"), filepath.Join(dir, "ending")
	err := os.WriteFile(script, []byte("#!/bin/sh\nread line < "+ending+"\nexit 1\n"), 0o700)
	if err = errors.Join(err, syscall.Mkfifo(ending, 0o600)); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		if writer, err := os.OpenFile(ending, os.O_WRONLY, 0); err == nil { // when the browser reads
			writer.Close()
		}
	})
	defer time.AfterFunc(patience, end).Stop()
	if err := Open("https://example.com", func(string) string { return script }); err != nil {
		t.Fatalf("got %v; want a running browser not to be waited for", err)
	}
	end()
}

// Windows' program is always there below WSL, wslview is not.
func TestBelowWSLTheBrowserIsWindows(t *testing.T) {
	const address = "https://example.com/?a=1&b=2"
	for _, name := range []string{"wslview", "rundll32.exe"} {
		dir := t.TempDir()
		t.Setenv("PATH", dir)
		opened := filepath.Join(dir, "opened")
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho \"$@\" > "+opened+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		err := open(address, func(name string) string { return map[string]string{"WSL_DISTRO_NAME": "Ubuntu"}[name] }, patience)
		if got, _ := os.ReadFile(opened); err != nil || !strings.HasSuffix(strings.TrimSpace(string(got)), address) {
			t.Errorf("%s was started with %q, %v; want the address", name, got, err)
		}
		if err := open(address, func(string) string { return "" }, patience); err == nil && name != "wslview" {
			t.Errorf("%s was taken for a browser outside of WSL", name)
		}
	}
}
