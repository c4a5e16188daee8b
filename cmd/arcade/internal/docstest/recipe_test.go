package docstest

import (
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
	checkout := t.TempDir()
	typeIn(t, repository, "tar -cf - --exclude=./.git --exclude=./bin --exclude=./dist . | tar -xf - -C '"+checkout+"'")
	list, _ := blocks(section(t, readText(t, "docs/testing.md"), "## Adding a command"))
	for _, b := range list {
		addTo(t, filepath.Join(checkout, b.mark), b.text)
	}
	said := typeIn(t, checkout, `make build && bin/arcade greet Ada && bin/arcade __complete gree &&
		make man completions && cat bin/man/arcade-greet.1 &&
		go test ./cmd/arcade/internal/docstest -run '^Test(EveryCommand(AndFlag|HasAManual)|NoRoom|NoFiles|Packages)' &&
		go test -v ./cmd/arcade/internal/e2e -run 'TestNoErrorIsMissing|TestEveryError.*/greeting|Scripts/greet'`)
	for _, want := range []string{"Hello, Ada.\n", "greet\tSay hello", "in capital letters", "--- PASS: TestScripts/greet"} {
		if !strings.Contains(said, want) {
			t.Errorf("the recipe was followed, and %q is not in\n%s", want, said)
		}
	}
}

// typeIn types lines in a directory and returns what they say. Go builds as make does, so that it builds once.
func typeIn(t *testing.T, directory, lines string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", lines)
	cmd.Dir = directory
	cmd.Env = append(os.Environ(), "ARCADE_USAGE_TRACKING=0", "MAKEFLAGS=", "CGO_ENABLED=0",
		"GOFLAGS=-trimpath -tags=nethttpomithttp2 -vet=off")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", lines, err, said)
	}
	return string(said)
}

// addTo makes a file, or adds lines behind the first of them, which it has already.
func addTo(t *testing.T, path, text string) {
	t.Helper()
	old, _ := os.ReadFile(path) // none, for a new file
	known := ""
	for line := range strings.Lines(text) {
		if !strings.Contains(string(old), known+line) {
			break
		}
		known += line
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(old), known, text, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}
