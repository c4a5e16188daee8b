// Package docstest types what the documents tell a reader to type, and compares what they say with the program.
package docstest

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/identity/identitytest"
)

func TestMain(m *testing.M) { testbed.Main(m) }

// repository is its top directory, as seen from here.
const repository = "../../../.."

// documents returns what is written for people, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		names, _ := fs.Glob(os.DirFS(repository), pattern) // it fails for bad patterns only
		for _, name := range names {
			found[name] = readText(t, name)
		}
	}
	return found
}

// readText reads a file of the repository.
func readText(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// section returns what stands under a heading of the second level.
func section(t *testing.T, document, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(document, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("there is no heading %q", heading)
	}
	text, _, _ := strings.Cut(rest, "\n## ")
	return text
}

// block is a fenced block of a document.
type block struct {
	language string // "sh"
	mark     string // what stands behind the language, such as "ok" or the path of a file
	text     string
}

var fenced = regexp.MustCompile("(?ms)^```(\\w*) ?(\\S*)\n(.*?)^```$")

func blocks(document string) (list []block) {
	for _, match := range fenced.FindAllStringSubmatch(document, -1) {
		list = append(list, block{match[1], match[2], match[3]})
	}
	return list
}

// matches returns all that the first group of an expression stands for in a text.
func matches(expression, text string) (list []string) {
	for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(text, -1) {
		list = append(list, match[1])
	}
	return list
}

func inBackticks(text string) []string { return matches("`([^`\n]+)`", text) }

// code returns what a document shows as typed: what stands in backticks, and the lines of its blocks for a shell.
func code(document string) []string {
	lines := inBackticks(fenced.ReplaceAllString(document, ""))
	for _, b := range blocks(document) {
		if b.language == "sh" {
			lines = append(lines, strings.Split(b.text, "\n")...)
		}
	}
	return lines
}

// arcadeLines returns the lines of a text that call arcade where a shell finds a program: first in a command.
func arcadeLines(text string) []string {
	calls := regexp.MustCompile(`(^|[|&;(]\s*|^([A-Z_]+=\S*\s+)+)arcade(\s|$)`)
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return !calls.MatchString(line) })
}

// Each block is typed on a machine of its own, where a user is logged in unless the block
// does it, and message 1 is there to be looked at.
func TestEveryCommandLineInTheDocumentsWorks(t *testing.T) {
	for name, document := range documents(t) {
		for _, b := range blocks(document) {
			lines := arcadeLines(b.text)
			if b.language != "sh" || len(lines) == 0 {
				continue
			}
			t.Run(name+" "+lines[0], func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				m.Run("whoami")
				if !strings.Contains(b.text, "arcade login") {
					m.Must("login")
				}
				typeAll(m, lines, b.mark != "ok")
			})
		}
	}
}

// newMachine is one on which a reader types what the documents say, as it stands there: stand-ins answer for
// the real addresses.
func newMachine(t *testing.T) *testbed.Machine {
	t.Helper()
	m := testbed.NewMachine(t).Production()
	m.Meet(strings.TrimPrefix(testbed.EngineKey, "arc_"))
	m.Cloud.Set(func(b *identitytest.Behaviour) {
		b.AuthorizeURL = identity.DefaultCloudURL + identitytest.AuthorizePath + "?tenant=t1"
		b.TokenURL = identity.DefaultCloudURL + identitytest.TokenPath
	})
	m.Engine.Trust(m.Cloud.Knows)
	m.Env = append(m.Env, "TOKEN=a token of more than twelve characters", "KEY="+testbed.EngineKey)
	for _, name := range []string{".env", ".env.production"} {
		m.Require(os.WriteFile(filepath.Join(m.Home, name), []byte("GREETING=hello\n"), 0o600))
	}
	return m
}

// typeAll runs lines as a shell does, without the `|| true` that would hide a failure. A line that may fail must not be wrong usage.
func typeAll(m *testbed.Machine, lines []string, mayFail bool) {
	m.Helper()
	for _, line := range lines {
		cmd := exec.Command("sh", "-e", "-c", strings.ReplaceAll(line, "|| true", ""))
		cmd.Dir, cmd.Env = m.Home, m.Environment()
		if r := m.Finish(cmd); r.Code != 0 && (r.Code != 1 || !mayFail) {
			m.Errorf("%q ends with exit code %d:\n%s%s", line, r.Code, r.Stdout, r.Stderr)
		}
	}
	m.NoViolations()
}

// A contributor's first command is added to a copy of the repository as docs/testing.md says, and has all that a
// command has.
func TestTheRecipeForACommandWorksAsWritten(t *testing.T) {
	t.Parallel()
	checkout := t.TempDir()
	typeIn(t, repository, "tar -cf - --exclude=./.git --exclude=./bin --exclude=./dist . | tar -xf - -C '"+checkout+"'")
	for _, b := range blocks(section(t, readText(t, "docs/testing.md"), "Adding a command")) {
		addTo(t, filepath.Join(checkout, b.mark), b.text)
	}
	said := typeIn(t, checkout, `make build && bin/arcade greet Ada && bin/arcade __complete gree &&
		make man completions && cat bin/man/arcade-greet.1 &&
		go test ./cmd/arcade/internal/docstest -run '^Test(EveryCommand(AndFlag|HasAManual)|NoFiles|Packages)' &&
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

// addTo makes a file, or adds lines behind the first of them, which the file has.
func addTo(t *testing.T, path, text string) {
	t.Helper()
	if old, err := os.ReadFile(path); err == nil {
		first, _, _ := strings.Cut(text, "\n")
		before, after, found := strings.Cut(string(old), first+"\n")
		if !found {
			t.Fatalf("%s has no line %q", path, first)
		}
		text = before + text + after
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
