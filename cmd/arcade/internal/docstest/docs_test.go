// Package docstest holds what a reader of the documents, and of the source, would stumble over: what they
// tell to type is typed, and what they say is compared with the program.
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

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
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
	return strings.ReplaceAll(string(content), "\r\n", "\n")
}

// block is a fenced block of a document.
type block struct {
	language string // "sh"
	mark     string // what stands behind the language, such as "ok" or the path of a file
	text     string
}

var (
	fenced     = regexp.MustCompile("(?ms)^```(\\w*) ?(\\S*)\n(.*?)^```$")
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
)

// blocks takes a document apart: its blocks, and what stands in backticks elsewhere.
func blocks(document string) (list []block, words []string) {
	for _, match := range fenced.FindAllStringSubmatch(document, -1) {
		list = append(list, block{match[1], match[2], match[3]})
	}
	for _, match := range inlineCode.FindAllStringSubmatch(fenced.ReplaceAllString(document, ""), -1) {
		words = append(words, match[1])
	}
	return list, words
}

// code returns what a document shows as typed: the lines of its blocks for a shell, and what stands in backticks.
func code(document string) (lines []string) {
	list, lines := blocks(document)
	for _, b := range list {
		if b.language == "sh" {
			lines = append(lines, strings.Split(b.text, "\n")...)
		}
	}
	return lines
}

// callsArcade finds the program where a shell would: first in a command.
var callsArcade = regexp.MustCompile(`(^|[|&;(]\s*|^([A-Z_]+=\S*\s+)+)arcade(\s|$)`)

// arcadeLines returns the lines of a text that call it.
func arcadeLines(text string) []string {
	return slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return !callsArcade.MatchString(line) })
}

// Each block is typed on a machine of its own, where a user is logged in unless the block
// does it, and message 1 is there to be looked at.
func TestEveryCommandLineInTheDocumentsWorks(t *testing.T) {
	for name, document := range documents(t) {
		list, _ := blocks(document)
		for _, b := range list {
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
				worst := 1 // it may fail, but must not be wrong usage
				if b.mark == "ok" {
					worst = 0
				}
				typeAll(m, lines, worst)
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

// typeAll runs lines as a shell does, each up to the first command that fails. `|| true` would hide that one.
func typeAll(m *testbed.Machine, lines []string, worst int) {
	m.Helper()
	if len(lines) == 0 {
		m.Fatal("there is no line that calls arcade")
	}
	for _, line := range lines {
		cmd := exec.Command("sh", "-e", "-c", strings.ReplaceAll(line, "|| true", ""))
		cmd.Dir, cmd.Env = m.Home, m.Environment()
		if r := m.Finish(cmd); r.Code < 0 || r.Code > worst {
			m.Errorf("%q ends with exit code %d:\n%s%s", line, r.Code, r.Stdout, r.Stderr)
		}
	}
	m.NoViolations()
}

// A command in the middle of a sentence is not run, but it has to exist, with its flags.
func TestEveryCommandNamedInASentenceExists(t *testing.T) {
	tree := cli.New("", "").Root()
	tree.InitDefaultHelpCmd()
	tree.InitDefaultCompletionCmd()
	for name, document := range documents(t) {
		_, words := blocks(document)
		for _, typed := range words {
			line, ok := strings.CutPrefix(typed, "arcade ")
			if !ok || strings.HasPrefix(line, "greet") { // which a contributor adds
				continue
			}
			cmd, rest, err := tree.Find(strings.Fields(line))
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err != nil || cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
				t.Errorf("%s: there is no `%s` (%v)", name, typed, err)
			}
		}
	}
}
