package docstest

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// walk calls visit for a command and all those below it that are shown to people.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			walk(child, visit)
		}
	}
}

// manualPages returns the pages by file name, with what cobra adds to the commands only when it runs. The lines
// are those of the help: they are written for 80 columns.
func manualPages() map[string]string {
	tree := cli.New("", "").Root()
	tree.InitDefaultVersionFlag()
	tree.InitDefaultCompletionCmd()
	pages := map[string]string{}
	walk(tree, func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		cmd.InitDefaultHelpFlag()
		var related []string
		for _, near := range append(cmd.Commands(), cmd.Parent()) {
			if near != nil && (near == cmd.Parent() || near.IsAvailableCommand()) {
				related = append(related, strings.ReplaceAll(near.CommandPath(), " ", "-")+"(1)")
			}
		}
		page := fmt.Sprintf(".TH %s 1 \"\" arcade \"Arcade manual\"\n", strings.ToUpper(name))
		for _, part := range [][2]string{
			{"NAME", name + " - " + cmd.Short}, {"SYNOPSIS", cmd.UseLine()}, {"DESCRIPTION", cmd.Long}, {"OPTIONS", cmd.LocalFlags().FlagUsages()},
			{"INHERITED OPTIONS", cmd.InheritedFlags().FlagUsages()}, {"EXAMPLES", cmd.Example}, {"SEE ALSO", strings.Join(related, ", ")},
		} {
			if text := strings.Trim(part[1], "\n"); text != "" {
				lines := strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", "\n\\&").Replace(text)
				page += fmt.Sprintf(".SH %s\n.nf\n\\&%s\n.fi\n", part[0], lines)
			}
		}
		pages[name+".1"] = page
	})
	return pages
}

// The generator is a test because the program itself has no use for it: `make man` says where it wants the pages.
func TestEveryCommandHasAManualPageWithAllThatItsHelpSays(t *testing.T) {
	pages := manualPages()
	directory := os.Getenv("ARCADE_MAN_DIRECTORY")
	walk(cli.New("", "").Root(), func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%q lacks a short description or an example", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(cmd.Long+"\n"+cmd.Example, "\n") {
			if len([]rune(line)) > 80 {
				t.Errorf("the help of %q has a line that breaks on 80 columns: %q", cmd.CommandPath(), line)
			}
		}
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		page := strings.NewReplacer(`\e`, `\`, `\-`, "-", `\&`, "").Replace(pages[name])
		want := strings.Split(strings.Join([]string{cmd.Short, cmd.Long, cmd.Example}, "\n"), "\n")
		cmd.NonInheritedFlags().VisitAll(func(flag *pflag.Flag) { want = append(want, "--"+flag.Name) })
		for _, text := range want {
			if !strings.Contains(page, text) {
				t.Errorf("%s lacks %q, which the help has:\n%s", name, text, page)
			}
		}
	})
	for name, page := range pages {
		if directory == "" {
			break
		}
		if err := os.WriteFile(filepath.Join(directory, name), []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// release is what tests want to know of .goreleaser.yaml.
type release struct {
	Archives []struct {
		NameTemplate string `yaml:"name_template"`
	} `yaml:"archives"`
	Casks []struct {
		Manpages []string `yaml:"manpages"`
	} `yaml:"homebrew_casks"`
	Dockers []struct {
		Images []string `yaml:"images"`
	} `yaml:"dockers_v2"`
}

func readRelease(t *testing.T) (r release) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readText(t, ".goreleaser.yaml")), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHomebrewGetsEveryManualPage(t *testing.T) {
	var want []string
	for name := range manualPages() {
		want = append(want, "man/"+name)
	}
	got := readRelease(t).Casks[0].Manpages
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("homebrew_casks.manpages in .goreleaser.yaml has\n%q\nwant\n%q", got, want)
	}
}

// What a recipe downloads is not there for a test to download, but its name is known.
func TestTheDocumentsInstallWhatAReleaseHas(t *testing.T) {
	r := readRelease(t)
	archive := strings.NewReplacer("{{ .ProjectName }}", "arcade", "{{ .Version }}", "1.2.3", "{{ .Os }}", "linux", "{{ .Arch }}", "amd64").
		Replace(r.Archives[0].NameTemplate) + ".tar.gz"
	download := regexp.MustCompile(`gh release download .*--pattern '([^']+)'|(ghcr\.io/[a-z/]+)`)
	found := 0
	for name, document := range documents(t) {
		for _, match := range download.FindAllStringSubmatch(document, -1) {
			found++
			takes, _ := path.Match(match[1], archive)
			more, _ := path.Match(match[1], archive+".sbom.json")
			if match[2] == "" && (!takes || more) || match[2] != "" && !slices.Contains(r.Dockers[0].Images, match[2]) {
				t.Errorf("%s: %s is not what a release has, %s and %v", name, match[0], archive, r.Dockers[0].Images)
			}
		}
	}
	if found < 4 {
		t.Errorf("only %d downloads and images were found: the test does not see the documents", found)
	}
}

// Every artefact of a release has them: the licences ask for it.
func TestTheNoticesHaveTheLicencesOfAllThatIsLinked(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the list is made by a shell script")
	}
	cmd := exec.Command(".ci/notices")
	cmd.Dir = repository
	if want, err := cmd.Output(); err != nil || readText(t, "docs/THIRD_PARTY_NOTICES.txt") != string(want) {
		t.Errorf("docs/THIRD_PARTY_NOTICES.txt is not what the linked modules say (%v): run `make notices`", err)
	}
	for _, name := range []string{".goreleaser.yaml", ".ci/Dockerfile"} {
		if !strings.Contains(readText(t, name), "docs/THIRD_PARTY_NOTICES.txt") {
			t.Errorf("%s does not ship the notices", name)
		}
	}
}

// A tag of an action can be moved to other code, which then runs with what the workflow may do.
func TestWorkflowsRunActionsByCommitAndKeepNoToken(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(repository, ".github", "workflows", "*.yml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%q, %v: want the workflows", paths, err)
	}
	pinned := regexp.MustCompile(`^\s*(- )?uses: (\./\.github/\S+|[\w/-]+@[0-9a-f]{40}( #.*)?)$`)
	for _, path := range paths {
		text := readText(t, strings.TrimPrefix(filepath.ToSlash(path), repository+"/"))
		for line := range strings.SplitSeq(text, "\n") {
			if strings.Contains(line, "uses:") && !pinned.MatchString(line) {
				t.Errorf("%s: %s is not pinned by a commit", path, line)
			}
		}
		if strings.Count(text, "actions/checkout@") != strings.Count(text, "persist-credentials: false\n") {
			t.Errorf("%s: a checkout leaves its token for the steps that follow", path)
		}
	}
}
