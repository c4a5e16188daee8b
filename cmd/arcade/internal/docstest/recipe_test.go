package docstest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A contributor's first command is added to a copy of the repository as docs/testing.md says, and has all that a
// command has.
func TestTheRecipeForACommandWorksAsWritten(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("there is no make here")
	}
	t.Parallel()
	checkout := filepath.Join(t.TempDir(), "checkout")
	err := fs.WalkDir(os.DirFS(repository), ".", func(name string, entry fs.DirEntry, err error) error {
		if entry.IsDir() && (name == ".git" || name == "bin" || name == "dist") {
			return fs.SkipDir
		}
		if err != nil || !entry.Type().IsRegular() || name == ".git" {
			return err
		}
		return write(filepath.Join(checkout, name), readText(t, name))
	})
	if err != nil {
		t.Fatal(err)
	}
	list, _ := blocks(section(t, readText(t, "docs/testing.md"), "## Adding a command"))
	for _, b := range list {
		if err := addTo(filepath.Join(checkout, b.words[0]), b.lines); err != nil {
			t.Fatal(err)
		}
	}
	const ours = "TestEveryCommand(AndFlag|HasAManual)|TestHomebrew|TestNoRoom|TestNoFiles|TestPackages"
	for _, step := range []struct{ command, says string }{
		{"make build man completions", ""},
		{"bin/arcade greet Ada", "Hello, Ada.\n"},
		{"bin/arcade __complete gree", "greet\tSay hello"},
		{"cat bin/man/arcade-greet.1", "in capital letters"},
		{"go test -run '^(" + ours + ")' ./cmd/arcade/internal/docstest", "ok"},
		{"go test -run 'TestNoErrorIsMissing|TestEveryError.*/greeting|TestScripts/greet' ./cmd/arcade/internal/e2e", "ok"},
	} {
		cmd := exec.Command("sh", "-c", step.command)
		cmd.Dir = checkout
		cmd.Env = append(os.Environ(), "ARCADE_USAGE_TRACKING=0", "MAKEFLAGS=", "CGO_ENABLED=0", "GOFLAGS=-trimpath -tags=nethttpomithttp2 -vet=off") // as make builds
		if said, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(said), step.says) {
			t.Fatalf("%s: %v, want it to say %q:\n%s", step.command, err, step.says, said)
		}
	}
}

// addTo makes a file, or adds lines behind the first of them, which it has already.
func addTo(path string, lines []string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return write(path, strings.Join(lines, "\n")+"\n")
	}
	known := 0
	for known < len(lines) && strings.Contains(string(old), strings.Join(lines[:known+1], "\n")+"\n") {
		known++
	}
	there := strings.Join(lines[:known], "\n") + "\n"
	return write(path, strings.Replace(string(old), there, strings.Join(lines, "\n")+"\n", 1))
}

func write(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o755)
}
