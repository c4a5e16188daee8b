package docstest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// manualDirectory is where `make man` wants the pages. The generator is a test because the program itself
// has no use for it and what it needs.
const manualDirectory = "ARCADE_MAN_DIRECTORY"

func TestEveryCommandHasAManualPageWithAllThatItsHelpSays(t *testing.T) {
	pages := manualPages(t)
	walk(manualRoot(), func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		page := strings.NewReplacer(`\\`, `\`, `\-`, "-", `\&`, "").Replace(pages[name])
		want := strings.Fields(cmd.Short + " " + cmd.Long + " " + cmd.Example)
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			want = append(append(want, "--"+flag.Name), strings.Fields(flag.Usage)...)
		})
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() {
				want = append(want, cmd.Name()+"-"+child.Name()+"(1)")
			}
		}
		for _, word := range want {
			if !strings.Contains(page, strings.Trim(word, "#")) { // cobra's own texts have headings
				t.Errorf("%s lacks %q, which the help has:\n%s", name, word, page)
			}
		}
	})
	directory := os.Getenv(manualDirectory)
	if directory == "" {
		return
	}
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(page), 0o644); err != nil {
			t.Fatal(err)
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

// manualPage leaves out what cobra says of a switch, `[=false]`: nobody gives it a value. It leaves out the
// month that cobra puts into the title line: the same commit makes the same page.
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
