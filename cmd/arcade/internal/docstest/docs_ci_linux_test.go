package docstest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/testbed"
)

// What stands behind `run`, `script`, `command` and RUN and calls arcade is typed twice, as by a system that prepares the
// home as the recipe says, on a runner whose one secret is the Engine's key.
func TestEveryRecipeForCIWorksInTheHomeItIsAbout(t *testing.T) {
	homes := map[string]int{"fresh": 0, "cached": 0, "read-only": 0}
	for name, document := range documents(t) {
		list, _ := blocks(document)
		for _, b := range list {
			if _, ok := homes[b.words[0]]; !ok {
				continue
			}
			homes[b.words[0]]++
			t.Run(name+":"+strconv.Itoa(b.number), func(t *testing.T) {
				t.Parallel()
				cook(t, b.words[0], strings.ReplaceAll(strings.Join(b.lines, "\n"), "\\\n", " "))
			})
		}
	}
	for home, n := range homes {
		if n == 0 {
			t.Errorf("no recipe is about a home that is %s", home)
		}
	}
}

func cook(t *testing.T, home, text string) {
	w := newWorld(t)
	w.Env = append(w.Env, "ARCADE_API_KEY="+testbed.EngineKey)
	if home == "read-only" {
		makeReadOnly(t, w.Home)
	}
	before := regexp.MustCompile(`(?m)^(RUN( --\S+)*| *-?( *(run|script|command):)?) +`)
	lines := arcadeLines(strings.Split(before.ReplaceAllString(text, ""), "\n"))
	if len(lines) == 0 {
		t.Fatalf("no line calls arcade in\n%s", text)
	}
	var ids []string
	for range 2 {
		for _, line := range lines {
			result, programs := w.typed(line)
			for _, program := range programs {
				if !strings.HasPrefix(program, "0 arcade ") {
					t.Errorf("in %q ended %q, want exit code 0:\n%s%s", line, program, result.Stdout, result.Stderr)
				}
			}
		}
		ids = append(ids, w.leaves(text))
	}
	events := w.Posthog.Events()
	for _, e := range events {
		if want := "principal-" + strings.TrimPrefix(testbed.EngineKey, "arc_"); e.DistinctID != want {
			t.Errorf("an event is %s's, want %s's, whose key is in the environment", e.DistinctID, want)
		}
	}
	if isReadOnly := home == "read-only"; isReadOnly != (len(events) == 0) {
		t.Errorf("PostHog has %d events in a home that is %s", len(events), home)
	}
	if home == "cached" && (ids[0] == "" || ids[0] != ids[1]) || home == "fresh" && ids[0] != "" && ids[0] == ids[1] {
		t.Errorf("in a home that is %s the anon ids of two jobs are %q", home, ids)
	}
	w.NoViolations()
}

// leaves ends a job: whose home it is, "" if nothing of it is left, and gone is what the recipe keeps in no cache.
func (w *world) leaves(recipe string) (id string) {
	w.Helper()
	w.AwaitNoFlusher()
	files, err := filepath.Glob(w.Path("*"))
	w.Require(err)
	if slices.Contains(files, w.Path("usage.db")) {
		found := w.Inspect()
		if id = found.Identity.AnonID; found.Counts.Pending != 0 {
			w.Errorf("%d messages are left when the job ends, and go with its machine", found.Counts.Pending)
		}
	}
	for _, file := range files {
		if !strings.Contains(recipe, "path: ~"+strings.TrimPrefix(file, w.Home)+"\n") {
			w.Require(os.RemoveAll(file))
		}
	}
	return id
}

// makeReadOnly also keeps root out.
func makeReadOnly(t *testing.T, home string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := os.Chmod(home, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(home, 0o700) })
		return
	}
	testbed.MountTmpfs(t, home, testbed.Roomy, 0)
	testbed.MountTmpfs(t, home, testbed.Roomy, syscall.MS_REMOUNT|syscall.MS_RDONLY)
}

// What stands in the document is what is in a log, but for figures.
func TestTheDocumentShowsWhatFlushPrints(t *testing.T) {
	figures := regexp.MustCompile(`\d+(\.\d)?`)
	m := testbed.NewMachine(t)
	m.Env = append(m.Env, testbed.Flusher) // so none is started
	m.Offline()
	m.Must("succeed")
	m.Must("succeed")
	page := figures.ReplaceAllString(readText(t, "docs/ci.md"), "N")
	for _, what := range []string{"without a network", "with one"} {
		r := m.Run("usage", "flush")
		if shown := "```text\n" + figures.ReplaceAllString(r.Stdout+r.Stderr, "N") + "```\n"; !strings.Contains(page, shown) {
			t.Errorf("docs/ci.md does not show what flush prints %s:\n%s%s", what, r.Stdout, r.Stderr)
		}
		if what == "without a network" {
			m.Online()
		}
	}
}
