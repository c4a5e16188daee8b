package docstest

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A tag of an action can be moved to other code, which then runs with what the workflow may do.
func TestWorkflowsRunActionsByCommitAndKeepNoToken(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(repository, ".github", "workflows", "*.yml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%q, %v: want the workflows", paths, err)
	}
	pinned := regexp.MustCompile(`^[\w/-]+@[0-9a-f]{40}$`)
	for _, path := range paths {
		var workflow struct {
			Jobs map[string]struct {
				Steps []struct {
					Uses string
					With map[string]any
				}
			}
		}
		if err := yaml.Unmarshal([]byte(readText(t, path)), &workflow); err != nil {
			t.Fatal(err)
		}
		for name, job := range workflow.Jobs {
			for _, step := range job.Steps {
				if step.Uses != "" && !pinned.MatchString(step.Uses) {
					t.Errorf("%s, job %s: %s is not pinned by a commit", path, name, step.Uses)
				}
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("%s, job %s: checkout leaves its token for the steps that follow", path, name)
				}
			}
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
