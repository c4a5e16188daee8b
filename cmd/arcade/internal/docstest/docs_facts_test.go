package docstest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/advice"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// readme is what is written for users: the first page, and the pages of commands that it leads to.
func readme(t *testing.T) string {
	t.Helper()
	var pages []string
	for _, name := range []string{"README.md", "docs/commands.md", "docs/secrets.md", "docs/usage.md"} {
		pages = append(pages, readText(t, name))
	}
	return strings.Join(pages, "\n")
}

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
	text := readme(t)
	root := cli.New("", "").Root()
	for _, missing := range undocumented(root, text) {
		t.Errorf("README.md, docs/commands.md and docs/usage.md do not show `%s`", missing)
	}
	root.AddCommand(&cobra.Command{Use: "hello", Run: func(*cobra.Command, []string) {}})
	missing := undocumented(root, text+"\n`arcade secret set GREETING=hello`, `hello`, arcade hello")
	if !slices.Equal(missing, []string{"arcade hello"}) {
		t.Errorf("%q are missed, want a command `arcade hello`: the word elsewhere says nothing of it", missing)
	}
}

// undocumented returns the commands that the pages show nowhere as they are typed, and the flags that none of the
// sections about their command shows.
func undocumented(root *cobra.Command, pages string) (missing []string) {
	sections := regexp.MustCompile(`(?m)^## `).Split(pages, -1)
	walk(root, func(cmd *cobra.Command) {
		var about []string
		typed := regexp.MustCompile(`(^|[|&;(]\s*|\s)` + cmd.CommandPath() + `(\s|$)`)
		for _, text := range sections {
			if lines := code(text); slices.ContainsFunc(lines, typed.MatchString) {
				about = append(about, lines...)
			}
		}
		if about == nil {
			missing = append(missing, cmd.CommandPath())
			return
		}
		cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			shown := regexp.MustCompile(`(^|\s)--` + f.Name + `($|\W)`)
			if !f.Hidden && f.Name != "help" && !slices.ContainsFunc(about, shown.MatchString) {
				missing = append(missing, cmd.CommandPath()+" --"+f.Name)
			}
		})
	})
	return missing
}

// The example and the table are compared with an event and an alias that this program makes now.
func TestTheDocumentsShowEveryPropertyThatIsSent(t *testing.T) {
	m := testbed.NewMachine(t)
	m.Offline()
	m.Run("whoami") // fails anonymously: an event with all that an event can have
	m.Cloud.Meet("ada")
	m.Login()
	text := section(t, readme(t), "## What is sent")
	table := append(firstColumn(text), "event", "properties")
	list, _ := blocks(text)
	examples := slices.DeleteFunc(list, func(b block) bool { return b.language != "json" })
	if len(examples) != 1 {
		t.Fatalf("%d examples, want one of an event", len(examples))
	}
	event, alias := keys(t, m.Must("usage", "inspect", "1").Stdout), keys(t, m.Must("usage", "inspect", "2").Stdout)
	if shown := keys(t, strings.Join(examples[0].lines, "\n")); !slices.Equal(shown, event) {
		t.Errorf("the example has %v, a real event %v", shown, event)
	}
	for _, key := range append(event, alias...) {
		if !slices.Contains(table, key) {
			t.Errorf("%s is sent, and the table does not say so", key)
		}
	}
	for field := range reflect.TypeFor[track.Properties]().Fields() {
		if key, _, _ := strings.Cut(field.Tag.Get("json"), ","); !slices.Contains(table, key) {
			t.Errorf("the property %s is not in the table", key)
		}
	}
}

// keys returns the names in a message and in its properties, sorted, but for those that posthog-go finds on some
// systems only.
func keys(t *testing.T, document string) []string {
	t.Helper()
	var message struct{ Properties map[string]any }
	all := map[string]any{}
	for _, into := range []any{&message, &all} {
		if err := json.Unmarshal([]byte(document), into); err != nil {
			t.Fatalf("%v in %s", err, document)
		}
	}
	maps.Copy(all, message.Properties)
	delete(all, "$os_version")
	delete(all, "$os_distro")
	return slices.Sorted(maps.Keys(all))
}

func TestTheDocumentsKnowEveryVariableAndNoOther(t *testing.T) {
	source := strings.Join(slices.Collect(maps.Values(sources(t))), "\n")
	named := firstColumn(section(t, readme(t), "## Environment"))
	for _, name := range named {
		if !strings.Contains(source, `"`+name+`"`) {
			t.Errorf("docs/commands.md names %s, which the program does not read", name)
		}
	}
	variable := regexp.MustCompile(`"((?:ARCADE|CLICOLOR|DO|LC|NO|SSL)(?:_[A-Z_]+)?)"`)
	for _, literal := range variable.FindAllStringSubmatch(source, -1) {
		if name := literal[1]; !slices.Contains(named, name) {
			t.Errorf("the program reads %s, which docs/commands.md does not name", name)
		}
	}
}

func TestTheDocumentsKnowEveryFile(t *testing.T) {
	named := firstColumn(section(t, readme(t), "## Files"))
	m := testbed.NewMachine(t)
	m.Cloud.Meet("ada")
	m.Login()
	m.Offline()
	m.Must("succeed")
	m.AwaitNoFlusher()
	m.Must("usage", "disable")
	files, err := os.ReadDir(m.Path(""))
	if err != nil || len(files) < 6 {
		t.Fatalf("there are %v, %v; want more files than that", files, err)
	}
	for _, file := range files {
		known := func(pattern string) bool { matches, _ := path.Match(pattern, file.Name()); return matches }
		if !slices.ContainsFunc(named, known) {
			t.Errorf("there is a file %s, which docs/usage.md does not name", file.Name())
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
	if !strings.Contains(section(t, readme(t), "## Troubleshooting"), "\n\n"+table+"\n") {
		t.Errorf("docs/usage.md lacks the table of advice as it is:\n%s", table)
	}
}

// A link, a file of the repository that is spelled out, a target of make.
func TestWhatTheDocumentsNameIsThere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	place := regexp.MustCompile(`^(?:cmd|outbox|identity|secrets|migrations|docs|\.ci|\.github)/[a-z0-9A-Z_./-]+$`)
	target := regexp.MustCompile(`^(?:[A-Z]+=\S+ )?make ([a-z -]+)$`)
	makefile := readText(t, "Makefile")
	found := 0
	for name, document := range documents(t) {
		var paths []string
		for _, match := range link.FindAllStringSubmatch(document, -1) {
			paths = append(paths, path.Join(path.Dir(name), match[1]))
		}
		for _, words := range code(document) {
			if place.MatchString(words) && !strings.Contains(strings.ToLower(words), "name") && !strings.Contains(words, "greet") {
				paths = append(paths, words)
			}
			for _, call := range target.FindAllStringSubmatch(words, -1) {
				for _, target := range strings.Fields(call[1]) {
					found++
					if !strings.Contains(makefile, "\n"+target+":") {
						t.Errorf("%s: make %s: there is no such target", name, target)
					}
				}
			}
		}
		for _, path := range paths {
			found++
			if _, err := os.Stat(filepath.Join(repository, path)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d links, files and targets were found: the test does not see the documents", found)
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
	for _, line := range list[0].lines {
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
