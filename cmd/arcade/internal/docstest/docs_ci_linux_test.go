package docstest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// What stands behind `run`, `script`, `command` and RUN and calls arcade is typed twice, as two jobs, by a system
// that prepares the home as the recipe says and ends what is left in the background, on a runner whose one secret is the
// Engine's key.
func TestEveryRecipeForCIWorksInTheHomeItIsAbout(t *testing.T) {
	list, _ := blocks(readText(t, "docs/ci.md"))
	for _, home := range []string{"fresh", "cached", "read-only"} {
		of := slices.DeleteFunc(slices.Clone(list), func(b block) bool { return b.mark != home })
		if len(of) == 0 {
			t.Errorf("no recipe is about a home that is %s", home)
		}
		for _, b := range of {
			t.Run(home, func(t *testing.T) { runJobs(t, home, strings.ReplaceAll(b.text, "\\\n", " ")) })
		}
	}
}

func runJobs(t *testing.T, home, recipe string) {
	m := newMachine(t)
	m.Env = append(m.Env, "ARCADE_API_KEY="+testbed.EngineKey, testbed.Flusher) // so that none is started
	if home == "read-only" {
		m.SmallDisk(0)
		m.SmallDisk(syscall.MS_REMOUNT | syscall.MS_RDONLY)
	}
	before := regexp.MustCompile(`(?m)^(RUN( --\S+)*| *-?( *(run|script|command):)?) +`)
	lines := arcadeLines(before.ReplaceAllString(recipe, ""))
	if len(lines) == 0 {
		t.Fatalf("no line calls arcade in\n%s", recipe)
	}
	var ids []string
	for range 2 {
		for _, line := range lines {
			if r := typed(m, line); r.Code != 0 {
				t.Errorf("%q ends with exit code %d:\n%s%s", line, r.Code, r.Stdout, r.Stderr)
			}
		}
		left := m.Inspect()
		if ids = append(ids, left.Identity.AnonID); left.Counts.Pending != 0 {
			t.Errorf("%d messages are left when the job ends, and go with its machine", left.Counts.Pending)
		}
		if home == "read-only" {
			continue
		}
		id, _ := os.ReadFile(m.Path("usage.json"))
		m.Require(os.RemoveAll(m.Path("")))
		if strings.Contains(recipe, "path: ~/.arcade/usage.json\n") {
			m.Require(os.Mkdir(m.Path(""), 0o700))
			m.Require(os.WriteFile(m.Path("usage.json"), id, 0o600))
		}
	}
	events := m.Posthog.Events()
	for _, e := range events {
		if want := "principal-" + strings.TrimPrefix(testbed.EngineKey, "arc_"); e.DistinctID != want {
			t.Errorf("an event is %s's, want %s's, whose key is in the environment", e.DistinctID, want)
		}
	}
	if isReadOnly := home == "read-only"; isReadOnly != (len(events) == 0) {
		t.Errorf("PostHog has %d events in a home that is %s", len(events), home)
	}
	if home == "cached" && (ids[0] == "" || ids[0] != ids[1]) {
		t.Errorf("with a cache the random ids of two jobs are %q, want one", ids)
	}
	m.NoViolations()
}
