package docstest

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/advice"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// firstColumn returns the code words in the first column of the tables of a text.
func firstColumn(text string) []string {
	return inBackticks(strings.Join(matches(`(?m)^\|([^|]*)\|`, text), "\n"))
}

// commands returns a command and all those below it that are shown to people.
func commands(cmd *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{cmd}
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			list = append(list, commands(child)...)
		}
	}
	return list
}

func TestEveryCommandAndFlagIsInTheDocuments(t *testing.T) {
	var pages string
	for _, name := range []string{"README.md", "docs/commands.md", "docs/secrets.md", "docs/usage.md"} {
		pages += readText(t, name)
	}
	root := cli.New("", "").Root()
	if missing := undocumented(root, pages); missing != nil {
		t.Errorf("README.md, docs/commands.md, docs/secrets.md and docs/usage.md do not show %q", missing)
	}
	root.AddCommand(&cobra.Command{Use: "hello", Run: func(*cobra.Command, []string) {}})
	missing := undocumented(root, pages+"\n`arcade secret set GREETING=hello`, `hello`, arcade hello")
	if !slices.Equal(missing, []string{"arcade hello"}) {
		t.Errorf("%q are missed, want a command `arcade hello`: the word elsewhere says nothing of it", missing)
	}
}

// undocumented returns the commands that the pages show nowhere as they are typed, and the flags that none of the
// sections about their command shows.
func undocumented(root *cobra.Command, pages string) (missing []string) {
	for _, cmd := range commands(root) {
		var about []string
		typed := regexp.MustCompile(`(^|[|&;(]\s*|\s)` + cmd.CommandPath() + `(\s|$)`)
		for _, text := range strings.Split(pages, "\n## ") {
			if lines := code(text); slices.ContainsFunc(lines, typed.MatchString) {
				about = append(about, lines...)
			}
		}
		if about == nil {
			missing = append(missing, cmd.CommandPath())
			continue
		}
		cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			shown := regexp.MustCompile(`(^|\s)--` + f.Name + `($|\W)`)
			if !f.Hidden && f.Name != "help" && !slices.ContainsFunc(about, shown.MatchString) {
				missing = append(missing, cmd.CommandPath()+" --"+f.Name)
			}
		})
	}
	return missing
}

// The generator is a test because the program itself has no use for it: `make man` says where it wants the pages. A
// Homebrew cask knows no patterns, so .goreleaser.yaml names each page.
func TestEveryCommandHasAManualPage(t *testing.T) {
	tree := cli.New("", "").Root()
	for _, cmd := range commands(tree) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%q lacks a short description or an example", cmd.CommandPath())
		}
		if long := matches(`(?m)^(.{81,})$`, cmd.Long+"\n"+cmd.Example); long != nil {
			t.Errorf("the help of %q has lines that break on 80 columns: %q", cmd.CommandPath(), long)
		}
		cmd.Long = "```\n" + cmp.Or(cmd.Long, cmd.Short+".") + "\n```\n" // as it stands in --help: it is no Markdown
	}
	tree.InitDefaultVersionFlag()
	tree.InitDefaultCompletionCmd()
	tree.DisableAutoGenTag = true
	directory := cmp.Or(os.Getenv("ARCADE_MAN_DIRECTORY"), t.TempDir())
	if err := doc.GenManTree(tree, &doc.GenManHeader{Source: "arcade", Manual: "Arcade manual"}, directory); err != nil {
		t.Fatal(err)
	}
	pages, _ := fs.Glob(os.DirFS(directory), "*.1") // it fails for bad patterns only
	if brew := matches(`- man/(\S+)`, readText(t, ".goreleaser.yaml")); !slices.Equal(brew, pages) {
		t.Errorf("homebrew_casks.manpages in .goreleaser.yaml has\n%q, want the pages of all commands\n%q", brew, pages)
	}
}

// The tables and the example are compared with two events and an alias that this program makes now, and with the files
// that are left then.
func TestTheDocumentsShowEveryPropertyThatIsSentAndEveryFile(t *testing.T) {
	page := readText(t, "docs/usage.md")
	m := testbed.NewMachine(t)
	m.Offline()
	m.Run("whoami") // fails anonymously, as in the example
	m.Meet("ada")
	m.Login()
	m.AwaitNoFlusher()
	text := section(t, page, "What is sent")
	if shown, event := keys(blocks(text)[0].text), keys(m.Must("usage", "inspect", "1").Stdout); !slices.Equal(shown, event) {
		t.Errorf("the example has %v, a real event %v", shown, event)
	}
	table := append(firstColumn(text), "event", "properties", "process_person_profile", "disable_skew_correction")
	for _, key := range keys(m.Must("usage", "export").Stdout) {
		if !slices.Contains(table, key) {
			t.Errorf("%s is sent, and the table does not say so", key)
		}
	}
	m.Must("usage", "disable")
	files, err := os.ReadDir(m.Path(""))
	m.Require(err)
	for _, file := range files {
		known := func(pattern string) bool { matches, _ := path.Match(pattern, file.Name()); return matches }
		if !slices.ContainsFunc(firstColumn(section(t, page, "Files")), known) {
			t.Errorf("there is a file %s, which docs/usage.md does not name", file.Name())
		}
	}
}

// keys returns the names in JSON, once each, but for those that posthog-go finds on some systems only.
func keys(document string) []string {
	names := slices.DeleteFunc(matches(`"([^"]+)":`, document), func(name string) bool {
		return name == "$os_version" || name == "$os_distro"
	})
	slices.Sort(names)
	return slices.Compact(names)
}

func TestTheDocumentsKnowEveryVariableAndNoOther(t *testing.T) {
	literals := map[string]bool{}
	for _, text := range sources(t) {
		for _, literal := range matches(`"([A-Z][A-Z_]+)"`, text) {
			literals[literal] = true
		}
	}
	named := firstColumn(section(t, readText(t, "docs/commands.md"), "Environment"))
	for _, name := range named {
		if !literals[name] {
			t.Errorf("docs/commands.md names %s, which the program does not read", name)
		}
	}
	read := regexp.MustCompile(`^(ARCADE|CLICOLOR|DO|LC|NO|SSL)(_|$)`)
	for name := range literals {
		if read.MatchString(name) && !slices.Contains(named, name) {
			t.Errorf("the program reads %s, which docs/commands.md does not name", name)
		}
	}
}

func TestTheDocumentsHaveTheProgramsTableOfAdvice(t *testing.T) {
	table := "| `reason` | it says | `advice` | do |\n|---|---|---|---|\n"
	for _, family := range advice.Table() {
		does := fmt.Sprintf("`%s` | %s", family.Advice, advice.PostHog().Fill(family.Do))
		for _, reason := range family.Reasons {
			table += fmt.Sprintf("| `%s` | %s | %s |\n", reason.ID, advice.PostHog().Fill(reason.What), does)
			does = "\" | \"" // the same family
		}
	}
	if !strings.Contains(readText(t, "docs/usage.md"), "\n\n"+table+"\n") {
		t.Errorf("docs/usage.md lacks the table of advice as it is:\n%s", table)
	}
}

// A link, a file of the repository that is spelled out, a target of make, a command with its flags, a download.
func TestWhatTheDocumentsNameIsThere(t *testing.T) {
	place := regexp.MustCompile(`^(?:cmd|outbox|identity|secrets|migrations|docs|\.ci|\.github)/[a-z0-9A-Z_./-]+$`)
	target := regexp.MustCompile(`^(?:[A-Z]+=\S+ )?make ([a-z][a-z-]*)`)
	example := regexp.MustCompile(`greet|_name`) // a contributor makes these
	makefile := readText(t, "Makefile")
	release := strings.NewReplacer("{{ .Os }}", "linux", `{{ .Arch }}"`, `amd64.tar.gz"`).Replace(readText(t, ".goreleaser.yaml"))
	tree := cli.New("", "").Root()
	tree.InitDefaultHelpCmd()
	tree.InitDefaultCompletionCmd()
	for name, document := range documents(t) {
		var paths []string
		for _, link := range matches(`\]\(([^)#:]+)\)`, document) {
			paths = append(paths, path.Join(path.Dir(name), link))
		}
		for _, artefact := range append(matches(`--pattern '\*([^']+)'`, document), matches(`(ghcr\.io/[a-z/]+)`, document)...) {
			if !regexp.MustCompile(regexp.QuoteMeta(artefact) + `["\]]`).MatchString(release) {
				t.Errorf("%s: a release has no %s", name, artefact)
			}
		}
		for _, words := range code(document) {
			line, isCommand := strings.CutPrefix(words, "arcade ")
			called := target.FindStringSubmatch(words)
			switch {
			case example.MatchString(words):
			case isCommand:
				cmd, rest, err := tree.Find(strings.Fields(line))
				if err == nil {
					err = cmd.ParseFlags(rest)
				}
				if err != nil || cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
					t.Errorf("%s: there is no `%s` (%v)", name, words, err)
				}
			case called != nil && !strings.Contains(makefile, "\n"+called[1]+":"):
				t.Errorf("%s: `%s`: there is no such target", name, words)
			case place.MatchString(words):
				paths = append(paths, words)
			}
		}
		for _, path := range paths {
			if _, err := os.Stat(filepath.Join(repository, path)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// README shows lines of the example that is built and run; `...` stands for others.
func TestTheReadmeShowsTheExampleAsItIs(t *testing.T) {
	shown := blocks(section(t, readText(t, "README.md"), "Use it in your own program"))[0].text
	for _, lines := range strings.Split(shown, "\t...\n") {
		if !strings.Contains(readText(t, "outbox/example/main.go"), lines) {
			t.Errorf("README.md shows\n%s\nwhich outbox/example/main.go does not have", lines)
		}
	}
}
