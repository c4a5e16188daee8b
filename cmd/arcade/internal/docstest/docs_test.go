// Package docstest holds what a reader of the documents, and of the source, would stumble over: what they
// tell to type is typed, and what they say is compared with the program.
package docstest

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
		names, err := fs.Glob(os.DirFS(repository), pattern)
		if err != nil {
			t.Fatal(err)
		}
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
	number   int      // of its first line
	language string   // "sh"
	words    []string // what stands behind the language
	lines    []string
}

// blocks takes a document apart; prose is what is left.
func blocks(document string) (list []block, prose string) {
	var rest []string
	var open *block
	for i, line := range strings.Split(document, "\n") {
		info, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && open == nil:
			words := append(strings.Fields(info), "")
			open = &block{number: i + 2, language: words[0], words: words[1:]}
		case fence:
			list = append(list, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		default:
			rest = append(rest, line)
		}
	}
	return list, strings.Join(rest, "\n")
}

var inlineCode = regexp.MustCompile("`([^`\n]+)`")

// code returns what a document shows as typed: the lines of its blocks for a shell, and what stands in backticks.
func code(document string) (lines []string) {
	list, prose := blocks(document)
	for _, b := range list {
		for _, line := range b.lines {
			if command, prompt := strings.CutPrefix(line, "$ "); b.language == "sh" || b.language == "console" && prompt {
				lines = append(lines, command)
			}
		}
	}
	for _, words := range inlineCode.FindAllStringSubmatch(prose, -1) {
		lines = append(lines, words[1])
	}
	return lines
}

// callsArcade finds the program where a shell would: first in a command.
var callsArcade = regexp.MustCompile(`(^|[|&;(]\s*|^([A-Z_]+=\S*\s+)+)arcade(\s|$)`)

func arcadeLines(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !callsArcade.MatchString(line) })
}

// Each block is typed on a machine of its own, where a user is logged in unless the block
// does it, and message 1 is there to be looked at.
func TestEveryCommandLineInTheDocumentsWorks(t *testing.T) {
	ran := 0
	for name, document := range documents(t) {
		list, _ := blocks(document)
		for _, b := range list {
			lines := arcadeLines(b.lines)
			if b.language != "sh" || len(lines) == 0 {
				continue
			}
			ran += len(lines)
			t.Run(name+":"+strconv.Itoa(b.number), func(t *testing.T) {
				t.Parallel()
				typeBlock(t, lines, b.words[0] == "ok")
			})
		}
	}
	if ran < 30 {
		t.Errorf("only %d command lines were found: the test does not see the documents", ran)
	}
}

func typeBlock(t *testing.T, lines []string, allSucceed bool) {
	w := newWorld(t)
	w.Run("whoami")
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "arcade login") }) {
		w.Must("login")
	}
	for _, line := range lines {
		r, programs := w.typed(line)
		if programs[0] == "" {
			t.Errorf("%q runs no arcade", line)
		}
		for _, program := range programs {
			if strings.HasPrefix(program, "2 ") {
				t.Errorf("%q is wrong usage:\n%s", line, r.Stderr)
			}
		}
		if allSucceed && r.Code != 0 {
			t.Errorf("%q ends with exit code %d:\n%s%s", line, r.Code, r.Stdout, r.Stderr)
		}
	}
	w.NoViolations()
}

// The test above says nothing if it cannot fail.
func TestAWrongCommandLineIsNoticed(t *testing.T) {
	if r, programs := newWorld(t).typed("arcade usage inpsect || true"); r.Code != 0 || programs[0] != "2 arcade usage inpsect" {
		t.Errorf("it ended with %d and was seen as %q; `|| true` must not hide wrong usage", r.Code, programs)
	}
}

// A command in the middle of a sentence is not run, but it has to exist, with its flags.
func TestEveryCommandNamedInASentenceExists(t *testing.T) {
	for name, document := range documents(t) {
		_, prose := blocks(document)
		for _, words := range inlineCode.FindAllStringSubmatch(prose, -1) {
			if line, ok := strings.CutPrefix(words[1], "arcade "); ok && !strings.HasPrefix(line, "greet") { // which a contributor adds
				if problem := unknownWord(strings.Fields(line)); problem != "" {
					t.Errorf("%s: `%s`: %s", name, words[1], problem)
				}
			}
		}
	}
	if unknownWord([]string{"usage", "inpsect"}) == "" || unknownWord([]string{"whoami", "--jsno"}) == "" {
		t.Error("unknown words pass: this test cannot fail")
	}
}

// unknownWord says what of a command line does not exist, "" if all of it does.
func unknownWord(words []string) string {
	tree := cli.New("", "").Root()
	tree.InitDefaultHelpCmd()
	tree.InitDefaultCompletionCmd()
	tree.InitDefaultVersionFlag()
	cmd, rest, err := tree.Find(words)
	if err == nil && cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		err = fmt.Errorf("no command %s", rest[0])
	}
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// world is a machine on which a reader types what the documents say, as it stands there: stand-ins answer for
// the real addresses.
type world struct {
	*testbed.Machine
	log string // a line for each arcade that ran: its exit code and its arguments
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Machine: testbed.NewMachine(t).Production()}
	w.Cloud.Meet(strings.TrimPrefix(testbed.EngineKey, "arc_"))
	w.Cloud.Set(func(b *identitytest.Behaviour) {
		b.AuthorizeURL = identity.DefaultCloudURL + identitytest.AuthorizePath + "?tenant=t1"
		b.TokenURL = identity.DefaultCloudURL + identitytest.TokenPath
	})
	w.Engine.Trust(w.Cloud.Knows)
	w.Env = append(w.Env, "TOKEN=a token of more than twelve characters", "KEY="+testbed.EngineKey)
	for _, name := range []string{".env", ".env.production"} {
		if err := os.WriteFile(filepath.Join(w.Home, name), []byte("GREETING=hello\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.writeWrapper()
	return w
}

// writeWrapper puts a script before the program that writes down how each one ended: in a line
// of a shell, `|| true` and pipes hide that.
func (w *world) writeWrapper() {
	w.Helper()
	directory := w.TempDir()
	w.log = filepath.Join(directory, "log")
	script := fmt.Sprintf("#!/bin/sh\n'%s' \"$@\"\ncode=$?\necho \"$code arcade $*\" >> '%s'\nexit $code\n", w.Command().Path, w.log)
	w.Require(testbed.WriteProgram(filepath.Join(directory, "arcade"), []byte(script)))
	w.Env = append(w.Env, "PATH="+directory+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// typed runs a line as a shell does and returns how it and the programs in it ended.
func (w *world) typed(line string) (r testbed.Result, programs []string) {
	w.Helper()
	cmd := w.Command()
	shell, err := exec.LookPath("sh")
	if err != nil {
		w.Skip("there is no sh here")
	}
	cmd.Path, cmd.Args = shell, []string{"sh", "-c", line}
	w.Require(os.WriteFile(w.log, nil, 0o600))
	limit := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer limit.Stop()
	r = w.Finish(cmd)
	log, err := os.ReadFile(w.log)
	w.Require(err)
	return r, strings.Split(strings.TrimSuffix(string(log), "\n"), "\n")
}
