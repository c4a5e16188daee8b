package docstest

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// Recipes are marked with the home of their job. What stands behind `run`, `script`, `command` and RUN and calls arcade
// is typed there, on a runner whose one secret is the Engine's key and which starts nothing in the background.
func TestEveryRecipeForCIWorksAndLeavesNothing(t *testing.T) {
	before := regexp.MustCompile(`(?m)^(RUN( --\S+)*| *-?( *(run|script|command):)?) +`)
	jobs := map[string]int{}
	for _, b := range blocks(readText(t, "docs/ci.md")) {
		if b.language == "sh" {
			continue
		}
		lines := arcadeLines(before.ReplaceAllString(strings.ReplaceAll(b.text, "\\\n", " "), ""))
		jobs[b.mark] += len(lines)
		t.Run(b.mark, func(t *testing.T) {
			m := newMachine(t).With("ARCADE_API_KEY="+testbed.EngineKey, testbed.Flusher)
			if b.mark == "read-only" {
				m.SmallDisk(0)
				m.SmallDisk(syscall.MS_REMOUNT | syscall.MS_RDONLY)
			}
			typeAll(m, lines, false)
			if b.mark == "cached" { // the next job has the file that the recipe names, and nothing else
				path := filepath.Join(m.Home, matches(`path: ~/(\S+)`, b.text)[0])
				kept, err := os.ReadFile(path)
				m.Require(errors.Join(err, os.RemoveAll(m.Path("")), os.Mkdir(m.Path(""), 0o700), os.WriteFile(path, kept, 0o600)))
				typeAll(m, lines, false)
				if id := m.Inspect().Identity.AnonID; id == "" || !strings.Contains(string(kept), id) {
					t.Errorf("the second job has the random id %q, want that of the first: %s", id, kept)
				}
			}
			if left := m.Inspect().Counts.Pending; left != 0 {
				t.Errorf("%d messages are left when the job ends, and go with its machine", left)
			}
			if events := m.Posthog.Events(); (len(events) == 0) != (b.mark == "read-only") {
				t.Errorf("PostHog has %d events; only a home that is read-only costs them", len(events))
			}
		})
	}
	if jobs["fresh"] == 0 || jobs["cached"] == 0 || jobs["read-only"] == 0 {
		t.Errorf("docs/ci.md has lines for %v, want some for a home that is fresh, one that is cached and one that is read-only", jobs)
	}
}
