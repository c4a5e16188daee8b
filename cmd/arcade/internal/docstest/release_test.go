package docstest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/spf13/cobra"
)

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

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manualPage is what the help of a command says, in its lines: they are written for 80 columns.
func manualPage(cmd *cobra.Command) string {
	related := ""
	for _, near := range append(cmd.Commands(), cmd.Parent()) {
		if near != nil && (near == cmd.Parent() || near.IsAvailableCommand()) {
			related += pageName(near) + "(1)\n"
		}
	}
	page := fmt.Sprintf(".TH %s 1 \"\" arcade \"Arcade manual\"\n", strings.ToUpper(pageName(cmd)))
	for _, part := range [][2]string{
		{"NAME", pageName(cmd) + " - " + cmd.Short}, {"SYNOPSIS", cmd.UseLine()}, {"DESCRIPTION", cmd.Long},
		{"OPTIONS", cmd.LocalFlags().FlagUsages()}, {"INHERITED OPTIONS", cmd.InheritedFlags().FlagUsages()},
		{"EXAMPLES", cmd.Example}, {"SEE ALSO", related},
	} {
		if text := strings.Trim(part[1], "\n"); text != "" {
			lines := strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", "\n\\&").Replace(text)
			page += fmt.Sprintf(".SH %s\n.nf\n\\&%s\n.fi\n", part[0], lines)
		}
	}
	return page
}

// The generator is a test because the program itself has no use for it: `make man` says where it wants the pages. A
// Homebrew cask knows no patterns, so .goreleaser.yaml names each page.
func TestEveryCommandHasAManualPage(t *testing.T) {
	directory, release := os.Getenv("ARCADE_MAN_DIRECTORY"), readText(t, ".goreleaser.yaml")
	tree := cli.New("", "").Root()
	tree.InitDefaultVersionFlag()
	tree.InitDefaultCompletionCmd()
	list := commands(tree)
	for _, cmd := range list {
		cmd.InitDefaultHelpFlag()
		isOurs := !strings.Contains(cmd.CommandPath(), "completion")
		if isOurs && (cmd.Short == "" || cmd.Example == "") {
			t.Errorf("%q lacks a short description or an example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Example) {
			if isOurs && len([]rune(line)) > 81 {
				t.Errorf("the help of %q has a line that breaks on 80 columns: %q", cmd.CommandPath(), line)
			}
		}
		file := pageName(cmd) + ".1"
		if !strings.Contains(release, "- man/"+file+"\n") {
			t.Errorf("homebrew_casks.manpages in .goreleaser.yaml lacks man/%s", file)
		}
		if directory != "" {
			if err := os.WriteFile(filepath.Join(directory, file), []byte(manualPage(cmd)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := strings.Count(release, "- man/"); n != len(list) {
		t.Errorf("homebrew_casks.manpages in .goreleaser.yaml has %d pages, want those of %d commands", n, len(list))
	}
}

// What a recipe downloads is not there for a test to download, but its name is known.
func TestTheDocumentsInstallWhatAReleaseHas(t *testing.T) {
	release := readText(t, ".goreleaser.yaml")
	template := regexp.MustCompile(`name_template: "(.*)"`).FindStringSubmatch(release)[1]
	archive := strings.NewReplacer("{{ .Os }}", "linux", "{{ .Arch }}", "amd64").Replace(template) + ".tar.gz"
	named := regexp.MustCompile(`--pattern '([^']+)'|ghcr\.io/[a-z/]+`)
	for name, document := range documents(t) {
		for _, match := range named.FindAllStringSubmatch(document, -1) {
			fits, _ := path.Match(match[1], archive)
			if !fits && !strings.Contains(release, "images: ["+match[0]+"]\n") {
				t.Errorf("%s: a release has no %s", name, match[0])
			}
		}
	}
}
