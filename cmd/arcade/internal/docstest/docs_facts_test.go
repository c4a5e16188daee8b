package docstest

import (
	"fmt"
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
	"github.com/spf13/pflag"
)

// section returns what stands under a heading, up to the next one of its level.
func section(t *testing.T, document, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(document, "\n"+heading+"\n")
	if !found {
		t.Fatalf("there is no heading %q", heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	text, _, _ := strings.Cut(rest, "\n"+level+" ")
	return text
}

// firstColumn returns the code words in the first column of the tables of a text.
func firstColumn(text string) (list []string) {
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) > 2 && cells[0] == "" {
			for _, code := range inlineCode.FindAllStringSubmatch(cells[1], -1) {
				list = append(list, code[1])
			}
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
	text := section(t, page, "## What is sent")
	list, _ := blocks(text)
	if shown, event := keys(list[0].text), keys(m.Must("usage", "inspect", "1").Stdout); !slices.Equal(shown, event) {
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
	if err != nil || len(files) < 6 {
		t.Fatalf("there are %v, %v; want more files than that", files, err)
	}
	for _, file := range files {
		known := func(pattern string) bool { matches, _ := path.Match(pattern, file.Name()); return matches }
		if !slices.ContainsFunc(firstColumn(section(t, page, "## Files")), known) {
			t.Errorf("there is a file %s, which docs/usage.md does not name", file.Name())
		}
	}
}

// keys returns the names in JSON, once each, but for those that posthog-go finds on some systems only.
func keys(document string) (names []string) {
	for _, name := range regexp.MustCompile(`"([^"]+)":`).FindAllStringSubmatch(document, -1) {
		if name[1] != "$os_version" && name[1] != "$os_distro" {
			names = append(names, name[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestTheDocumentsKnowEveryVariableAndNoOther(t *testing.T) {
	literals := map[string]bool{}
	variable := regexp.MustCompile(`"([A-Z][A-Z_]+)"`)
	for _, text := range sources(t) {
		for _, literal := range variable.FindAllStringSubmatch(text, -1) {
			literals[literal[1]] = true
		}
	}
	named := firstColumn(section(t, readText(t, "docs/commands.md"), "## Environment"))
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

// A link, a file of the repository that is spelled out, a target of make.
func TestWhatTheDocumentsNameIsThere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	place := regexp.MustCompile(`^(?:cmd|outbox|identity|secrets|migrations|docs|\.ci|\.github)/[a-z0-9A-Z_./-]+$`)
	target := regexp.MustCompile(`^(?:[A-Z]+=\S+ )?make ([a-z][a-z-]*)`)
	example := regexp.MustCompile(`greet|NAME|_name`)
	makefile := readText(t, "Makefile")
	for name, document := range documents(t) {
		var paths []string
		for _, match := range link.FindAllStringSubmatch(document, -1) {
			paths = append(paths, path.Join(path.Dir(name), match[1]))
		}
		for _, words := range code(document) {
			if place.MatchString(words) && !example.MatchString(words) {
				paths = append(paths, words)
			}
			if called := target.FindStringSubmatch(words); called != nil && !strings.Contains(makefile, "\n"+called[1]+":") {
				t.Errorf("%s: `%s`: there is no such target", name, words)
			}
		}
		for _, path := range paths {
			if _, err := os.Stat(filepath.Join(repository, path)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// The pictures are of this program: what it prints in every case is in them.
func TestThePicturesShowTheProgramOfToday(t *testing.T) {
	m := testbed.NewMachine(t)
	m.Run("whoami")
	columns := strings.Fields(m.Must("usage", "inspect").Stdout)[:5]
	labels := regexp.MustCompile(`(?m)^[A-Z][a-z ]+:`).FindAllString(m.Must("usage", "status").Stdout, -1)
	for name, shown := range map[string][]string{"inspect": append(columns, "✓ delivered", "✗ dead", "○ pending"), "status": labels} {
		picture := readText(t, "docs/"+name+".svg")
		for _, text := range shown {
			if !strings.Contains(picture, text) && text != "EVENT" {
				t.Errorf("docs/%s.svg shows no %q; run make pictures", name, text)
			}
		}
	}
}

// README shows lines of the example that is built and run, in their order; `...` stands for others.
func TestTheReadmeShowsTheExampleAsItIs(t *testing.T) {
	rest := strings.Split(readText(t, "outbox/example/main.go"), "\n")
	list, _ := blocks(section(t, readText(t, "README.md"), "## Use it in your own program"))
	for _, line := range strings.Split(list[0].text, "\n") {
		if strings.TrimSpace(line) == "..." {
			continue
		}
		at := slices.Index(rest, line)
		if at < 0 {
			t.Fatalf("README.md shows\n%s\nwhich outbox/example/main.go does not have there", line)
		}
		rest = rest[at+1:]
	}
}
