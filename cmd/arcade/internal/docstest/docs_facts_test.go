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

// readme is what is written for who uses the program: the first page, and the two that it leads to.
func readme(t *testing.T) string {
	t.Helper()
	var pages []string
	for _, name := range []string{"README.md", "docs/commands.md", "docs/usage.md"} {
		pages = append(pages, readText(t, filepath.Join(repository, name)))
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

func TestEveryCommandAndFlagIsInTheReadme(t *testing.T) {
	text := readme(t)
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), "arcade ")
		if !cmd.Hidden && !regexp.MustCompile(`\b`+path+`\b`).MatchString(text) {
			t.Errorf("README.md does not mention `arcade %s`", path)
		}
		cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(text, "--"+f.Name) {
				t.Errorf("README.md does not mention --%s of `arcade %s`", f.Name, path)
			}
		})
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	for _, cmd := range cli.New("", "").Root().Commands() {
		walk(cmd)
	}
}

// The examples in the README are compared with messages that this program makes now.
func TestTheReadmeShowsEveryPropertyThatIsSent(t *testing.T) {
	m := testbed.NewMachine(t)
	m.Offline()
	m.Run("whoami") // fails anonymously: an event with all that an event can have
	m.Cloud.Meet("ada")
	m.Login()
	sent := "## What is sent"
	text := section(t, readme(t), sent)
	table := firstColumn(text)
	list, _ := blocks(text)
	var examples []string
	for _, b := range list {
		if b.language == "json" {
			examples = append(examples, strings.Join(b.lines, "\n"))
		}
	}
	if len(examples) != 2 {
		t.Fatalf("%d examples under %q, want an event and an alias", len(examples), sent)
	}
	for i, name := range []string{"an event", "an alias"} {
		real := keys(t, m.Must("usage", "inspect", []string{"1", "2"}[i]).Stdout)
		if shown := keys(t, examples[i]); !slices.Equal(anywhere(shown), anywhere(real)) {
			t.Errorf("the example of %s has %v, a real one %v", name, shown, real)
		}
		for _, key := range real {
			if structure := []string{"event", "properties"}; i == 0 && !slices.Contains(table, key) && !slices.Contains(structure, key) {
				t.Errorf("%s is sent, and the table under %q does not say so", key, sent)
			}
		}
	}
	for field := range reflect.TypeFor[track.Properties]().NumField() {
		key, _, _ := strings.Cut(reflect.TypeFor[track.Properties]().Field(field).Tag.Get("json"), ",")
		if !slices.Contains(table, key) {
			t.Errorf("the property %s is not in the table under %q", key, sent)
		}
	}
}

// keys returns the names in a message and in its properties, sorted.
func keys(t *testing.T, document string) []string {
	t.Helper()
	var message, properties map[string]json.RawMessage
	if err := json.Unmarshal([]byte(document), &message); err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	if err := json.Unmarshal(message["properties"], &properties); err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	maps.Copy(message, properties)
	return slices.Sorted(maps.Keys(message))
}

// anywhere leaves out what posthog-go finds on some systems only.
func anywhere(keys []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return key == "$os_version" || key == "$os_distro" })
}

// sources returns the text of all programs of the repository without their tests.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for file := range productionImports(t) {
		all.WriteString(readText(t, filepath.Join(repository, file)))
	}
	return all.String()
}

func TestTheReadmeKnowsEveryVariableAndNoOther(t *testing.T) {
	code := sources(t)
	named := firstColumn(section(t, readme(t), "## Environment"))
	for _, name := range named {
		if !strings.Contains(code, `"`+name+`"`) {
			t.Errorf("README.md names %s, which the program does not read", name)
		}
	}
	for _, literal := range regexp.MustCompile(`"((?:ARCADE|CLICOLOR|DO|LC|NO|SSL)(?:_[A-Z_]+)?)"`).FindAllStringSubmatch(code, -1) {
		if name := literal[1]; !slices.Contains(named, name) {
			t.Errorf("the program reads %s, which README.md does not name", name)
		}
	}
}

func TestTheReadmeKnowsEveryFile(t *testing.T) {
	named := firstColumn(section(t, readme(t), "## Files"))
	m := testbed.NewMachine(t)
	m.Cloud.Meet("ada")
	m.Login()
	m.Offline()
	m.Must("succeed")
	m.AwaitNoFlusher()
	m.Must("succeed") // its flusher sits out a back-off
	m.AwaitNoFlusher()
	m.Must("usage", "disable")
	files, err := os.ReadDir(m.Path(""))
	if err != nil || len(files) < 6 {
		t.Fatalf("there are %v, %v; want more files than that", files, err)
	}
	for _, file := range files {
		known := func(pattern string) bool {
			matches, err := path.Match(pattern, file.Name())
			return err == nil && matches
		}
		if !slices.ContainsFunc(named, known) {
			t.Errorf("there is a file %s, which README.md does not name", file.Name())
		}
	}
}

// What a recipe downloads is not there for a test to download, but its name is known.
func TestTheDocumentsInstallWhatAReleaseHas(t *testing.T) {
	release := readReleaseConfig(t)
	archive := strings.NewReplacer("{{ .ProjectName }}", "arcade", "{{ .Version }}", "1.2.3", "{{ .Os }}", "linux", "{{ .Arch }}", "amd64").
		Replace(release.Archives[0].NameTemplate) + ".tar.gz"
	pattern := regexp.MustCompile(`gh release download .*--pattern '([^']+)'`)
	image := regexp.MustCompile(`ghcr\.io/[a-z/]+`)
	found := 0
	for name, document := range documents(t) {
		for _, download := range pattern.FindAllStringSubmatch(document, -1) {
			found++
			for file, want := range map[string]bool{archive: true, archive + ".sbom.json": false} {
				if got, err := path.Match(download[1], file); got != want || err != nil {
					t.Errorf("%s downloads %s, which takes %s: %v, %v; want %v", name, download[1], file, got, err, want)
				}
			}
		}
		for _, used := range image.FindAllString(document, -1) {
			found++
			if !slices.Contains(release.Dockers[0].Images, used) {
				t.Errorf("%s uses the image %s; a release makes %v", name, used, release.Dockers[0].Images)
			}
		}
	}
	if found < 4 {
		t.Errorf("only %d downloads and images were found: the test does not see the documents", found)
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

func TestLinksAndPathsLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	place := regexp.MustCompile("`((?:cmd|outbox|identity|secrets|migrations|docs|\\.ci|\\.github)/[a-zA-Z0-9_./-]+)`")
	exists := func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	}
	found := 0
	for name, document := range documents(t) {
		_, prose := blocks(document)
		folder := filepath.Join(repository, filepath.Dir(name))
		for _, target := range link.FindAllStringSubmatch(prose, -1) {
			found++
			if !exists(filepath.Join(folder, target[1])) {
				t.Errorf("%s links to %s, which is not there", name, target[1])
			}
		}
		for _, path := range place.FindAllStringSubmatch(prose, -1) {
			found++
			if !exists(filepath.Join(repository, path[1])) && !strings.Contains(path[1], "NAME") && !strings.Contains(path[1], "name") {
				t.Errorf("%s names %s, which is not there", name, path[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d links and paths were found: the test does not see the documents", found)
	}
}

func TestTheArrowsBetweenThePackagesAreDrawnAsTheyAre(t *testing.T) {
	drawn := map[string]bool{}
	names := map[string]string{}
	arrow := regexp.MustCompile(`^\s*(\w+)(?:\["([^"]+)"\])? --> (\w+)(?:\["([^"]+)"\])?$`)
	list, _ := blocks(readText(t, filepath.Join(repository, "docs", "architecture.md")))
	for _, line := range list[0].lines {
		if ends := arrow.FindStringSubmatch(line); ends != nil {
			for i := 1; i < len(ends); i += 2 {
				if ends[i+1] != "" {
					names[ends[i]] = ends[i+1]
				}
			}
			drawn[names[ends[1]]+" -> "+names[ends[3]]] = true
		}
	}
	real := map[string]bool{}
	for file, imports := range productionImports(t) {
		for _, name := range imports {
			if own, inside := strings.CutPrefix(name, module); inside {
				real[filepath.ToSlash(filepath.Dir(file))+" -> "+own] = true
			}
		}
	}
	if !maps.Equal(drawn, real) {
		t.Errorf("docs/architecture.md draws %v, the code has %v", slices.Sorted(maps.Keys(drawn)), slices.Sorted(maps.Keys(real)))
	}
}

// The pictures are of this program: what it prints in every case is in them.
func TestThePicturesShowTheProgramOfToday(t *testing.T) {
	m := testbed.NewMachine(t)
	m.Run("whoami")
	inspect := readText(t, filepath.Join(repository, "docs", "inspect.svg"))
	for _, state := range []string{"✓ delivered", "✗ dead", "○ pending"} {
		if !strings.Contains(inspect, ">"+state+"</tspan>") {
			t.Errorf("docs/inspect.svg shows no message in the state %q; run make pictures", state)
		}
	}
	drawn := regexp.MustCompile(`>SEQ .*`).FindString(inspect)
	for _, title := range []string{"SEQ", "STATE", "COMMAND", "RESULT"} {
		header, _, _ := strings.Cut(m.Must("usage", "inspect").Stdout, "\n")
		if !strings.Contains(drawn, title) || !slices.Contains(strings.Split(header, "\t"), title) {
			t.Errorf("docs/inspect.svg and the program do not both have a column %q; run make pictures", title)
		}
	}
	status := readText(t, filepath.Join(repository, "docs", "status.svg"))
	for _, label := range regexp.MustCompile(`(?m)^[A-Z][a-z ]+:`).FindAllString(m.Must("usage", "status").Stdout, -1) {
		if !strings.Contains(status, ">"+label) {
			t.Errorf("docs/status.svg has no line %q; run make pictures", label)
		}
	}
}

// README shows lines of the example that is built and run, in their order; `...` stands for others.
func TestTheReadmeShowsTheExampleAsItIs(t *testing.T) {
	rest := strings.Split(readText(t, filepath.Join(repository, "outbox", "example", "main.go")), "\n")
	shown := 0
	list, _ := blocks(section(t, readText(t, filepath.Join(repository, "README.md")), "## Use it in your own program"))
	for _, b := range list {
		for _, line := range b.lines {
			if strings.TrimSpace(line) == "..." {
				continue
			}
			at := slices.Index(rest, line)
			if at < 0 {
				t.Fatalf("README.md shows\n%s\nwhich outbox/example/main.go does not have there", line)
			}
			rest = rest[at+1:]
			shown++
		}
	}
	if shown < 10 {
		t.Errorf("only %d lines are compared: the test does not see the section", shown)
	}
}

func TestTheFirstPageIsShort(t *testing.T) {
	if n := strings.Count(readText(t, filepath.Join(repository, "README.md")), "\n"); n >= 160 {
		t.Errorf("README.md has %d lines; what is not for the first minute belongs into docs/", n)
	}
}
