package docstest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
)

// repository is its top directory, as seen from here.
const repository = "../../../.."

// documents returns what is written for people, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(repository, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		paths = append(paths, filepath.Join(repository, name))
	}
	found := map[string]string{}
	for _, path := range paths {
		name, err := filepath.Rel(repository, path)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.ToSlash(name)] = readText(t, path)
	}
	return found
}

func readText(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
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

// commands returns the lines of a block that a reader would run.
func (b block) commands() (list []string) {
	prefixes := map[string]*regexp.Regexp{
		"sh":      regexp.MustCompile(`^\s*`),
		"console": regexp.MustCompile(`^\$ `),
	}
	prefix := prefixes[b.language]
	for _, line := range b.lines {
		if prefix != nil && prefix.MatchString(line) {
			list = append(list, prefix.ReplaceAllString(line, ""))
		}
	}
	return list
}

// callsArcade finds the program where a shell would: first in a command.
var callsArcade = regexp.MustCompile(`(^|[|&;(]\s*|^([A-Z_]+=\S*\s+)+)arcade(\s|$)`)

func arcadeLines(b block) []string {
	return slices.DeleteFunc(b.commands(), func(line string) bool { return !callsArcade.MatchString(line) })
}

// Each block is typed on a machine of its own, by somebody who is logged in unless the block
// does it, and for whom message 1 is there to be looked at.
func TestEveryCommandLineInTheDocumentsWorks(t *testing.T) {
	ran := 0
	for name, document := range documents(t) {
		list, _ := blocks(document)
		for _, b := range list {
			lines := arcadeLines(b)
			if len(lines) == 0 {
				continue
			}
			ran += len(lines)
			t.Run(name+":"+strconv.Itoa(b.number), func(t *testing.T) {
				t.Parallel()
				typeBlock(t, lines, slices.Contains(b.words, "ok"))
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
	document := "```sh\narcade usage inpsect || true\n```\nand\n```console\n$ arcade whoami\nnothing\n```\n" +
		"```json\narcade whoami\n```\n"
	list, prose := blocks(document)
	if prose != "and\n" {
		t.Errorf("the prose is %q", prose)
	}
	var lines []string
	for _, b := range list {
		lines = append(lines, arcadeLines(b)...)
	}
	want := []string{"arcade usage inpsect || true", "arcade whoami"}
	if !slices.Equal(lines, want) {
		t.Errorf("the command lines are %q, want %q", lines, want)
	}
	w := newWorld(t)
	if r, programs := w.typed(lines[0]); r.Code != 0 || programs[0] != "2 arcade usage inpsect" {
		t.Errorf("%q ended with %d and was seen as %q; `|| true` must not hide wrong usage", lines[0], r.Code, programs)
	}
}

var inlineCode = regexp.MustCompile("`([^`\n]+)`")

// A command in the middle of a sentence is not run, but it has to exist, with its flags.
func TestEveryCommandNamedInASentenceExists(t *testing.T) {
	for name, document := range documents(t) {
		_, prose := blocks(document)
		for _, code := range inlineCode.FindAllStringSubmatch(prose, -1) {
			words := strings.Fields(code[1])
			if words[0] != "arcade" {
				continue
			}
			if problem := unknownWord(words[1:]); problem != "" {
				t.Errorf("%s: `%s`: %s", name, code[1], problem)
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
	if err != nil {
		return err.Error()
	}
	if cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return "no command " + rest[0]
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err.Error()
	}
	return ""
}

func TestEveryMakeTargetInTheDocumentsExists(t *testing.T) {
	makefile := readText(t, filepath.Join(repository, "Makefile"))
	call := regexp.MustCompile(`^(?:[A-Z]+=\S+ )?make ([a-z -]+)$`)
	found := 0
	for name, document := range documents(t) {
		list, prose := blocks(document)
		var lines []string
		for _, b := range list {
			lines = append(lines, b.commands()...)
		}
		for _, code := range inlineCode.FindAllStringSubmatch(prose, -1) {
			lines = append(lines, code[1])
		}
		for _, line := range lines {
			words := call.FindStringSubmatch(line)
			if words == nil {
				continue
			}
			for _, target := range strings.Fields(words[1]) {
				found++
				if !strings.Contains(makefile, "\n"+target+":") {
					t.Errorf("%s: make %s: there is no such target", name, target)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d targets were found: the test does not see the documents", found)
	}
}
