package docstest

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"go.yaml.in/yaml/v3"
)

// writeManual is set by `make man`, which writes the pages that this test otherwise compares. The
// generator is a test because the program itself has no use for it and what it needs.
const writeManual = "ARCADE_WRITE_MAN"

func TestTheManualPagesSayWhatTheCommandsSay(t *testing.T) {
	directory := filepath.Join(repository, "docs", "man")
	want := manualPages(t)
	if os.Getenv(writeManual) != "" {
		replacePages(t, directory, want)
	}
	got := readPages(t, directory)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("docs/man/%s is missing or says something else than --help: run `make man`", name)
		}
	}
	for name := range got {
		if want[name] == "" {
			t.Errorf("docs/man/%s is about a command that does not exist: run `make man`", name)
		}
	}
}

func TestAHelpTextLosesNothingOnItsWayIntoAPage(t *testing.T) {
	const text = "A \\ before \\n, \\\\ and \\! stays; so do `a`, *b*, c_d_e, [f](g), <h>\nand !i.\n\n" +
		"  KEY=-   keeps its blanks\n  KEY     and its line\n\n" +
		"  - one\n  - two, on\n    two lines"
	page := manualPage(t, &cobra.Command{Use: "arcade", Short: "x", Long: text, Run: func(*cobra.Command, []string) {}})
	page = strings.NewReplacer(`\\`, `\`, `\-`, "-", `\&`, "").Replace(page)
	for _, want := range []string{
		"A \\ before \\n, \\\\ and \\! stays; so do `a`, *b*, c_d_e, [f](g), <h>\nand !i.\n",
		".EX\nKEY=-   keeps its blanks\nKEY     and its line\n.EE\n",
		".IP \\(bu 2\none\n.IP \\(bu 2\ntwo, on\ntwo lines\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks\n%s\n\nit says\n%s", want, page)
		}
	}
}

// releaseConfig is what tests want to know of .goreleaser.yaml.
type releaseConfig struct {
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

func readReleaseConfig(t *testing.T) (release releaseConfig) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readText(t, filepath.Join(repository, ".goreleaser.yaml"))), &release); err != nil {
		t.Fatal(err)
	}
	return release
}

func TestHomebrewGetsEveryManualPage(t *testing.T) {
	release := readReleaseConfig(t)
	var want []string
	for name := range manualPages(t) {
		want = append(want, "man/"+name)
	}
	slices.Sort(want)
	for _, cask := range release.Casks {
		if slices.Sort(cask.Manpages); !slices.Equal(cask.Manpages, want) {
			t.Errorf("homebrew_casks.manpages in .goreleaser.yaml has\n%q\nwant\n%q", cask.Manpages, want)
		}
	}
	if len(release.Casks) != 1 {
		t.Errorf("there are %d casks, want one", len(release.Casks))
	}
}

// walk calls visit for a command and all those below it that are shown to people.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			walk(child, visit)
		}
	}
}

// manualRoot is the command tree with what cobra adds to it only when it runs.
func manualRoot() *cobra.Command {
	tree := cli.New("", "").Root()
	tree.DisableAutoGenTag = true // a line with today's date
	tree.InitDefaultVersionFlag()
	tree.InitDefaultCompletionCmd()
	return tree
}

// manualPages returns the pages by file name.
func manualPages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	walk(manualRoot(), func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		pages[name] = manualPage(t, cmd)
	})
	return pages
}

// manualPage leaves out what cobra says of a switch, `[=false]`: nobody gives it a value. It leaves out the month that cobra puts into the title line: pages are written when a
// command changes, and no release has a date before it is made.
func manualPage(t *testing.T, cmd *cobra.Command) string {
	t.Helper()
	var page bytes.Buffer
	cmd.Long = asMarkdown(cmd.Long)
	date := time.Unix(0, 0).UTC()
	header := &doc.GenManHeader{Section: "1", Source: "arcade", Manual: "Arcade manual", Date: &date}
	if err := doc.GenMan(cmd, header, &page); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(`"Jan 1970"`, `""`, "[=false]", "").Replace(page.String())
}

// asMarkdown protects a help text, which is plain, from cobra, which takes it for Markdown: what is
// indented keeps its lines, and no character of the rest means anything but itself.
func asMarkdown(text string) string {
	escape := strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", `\<`, ">", `\>`, "!", `\!`)
	var lines []string
	inList := false
	for line := range strings.SplitSeq(text, "\n") {
		inList = strings.HasPrefix(line, "  - ") || inList && line != ""
		switch {
		case strings.HasPrefix(line, "\t"): // cobra's own texts
		case strings.HasPrefix(line, "  ") && !inList:
			line = "  " + line
		default:
			line = escape.Replace(line)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func readPages(t *testing.T, directory string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(directory, "*"))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Base(path)] = strings.ReplaceAll(string(content), "\r\n", "\n") // as Git on Windows may have it
	}
	return pages
}

func replacePages(t *testing.T, directory string, pages map[string]string) {
	t.Helper()
	if err := os.RemoveAll(directory); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
