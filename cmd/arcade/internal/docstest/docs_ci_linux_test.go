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
	"go.yaml.in/yaml/v3"
)

// recipe is a CI configuration in the documents.
type recipe struct {
	home  string   // "fresh", "cached" or "read-only", as the block says
	env   []string // of the whole job and of its steps
	kept  []string // paths that the system keeps from job to job
	lines []string // command lines that call arcade
}

func TestEveryRecipeForCIWorksInTheHomeItIsAbout(t *testing.T) {
	homes := map[string]int{"fresh": 0, "cached": 0, "read-only": 0}
	for name, document := range documents(t) {
		list, _ := blocks(document)
		for _, b := range list {
			r := recipe{home: b.words[0]}
			if _, ok := homes[r.home]; !ok {
				continue
			}
			homes[r.home]++
			t.Run(name+":"+strconv.Itoa(b.number), func(t *testing.T) {
				t.Parallel()
				r.read(t, b)
				r.cook(t)
			})
		}
	}
	for home, n := range homes {
		if n == 0 {
			t.Errorf("no recipe is about a home that is %s", home)
		}
	}
}

func (r *recipe) read(t *testing.T, b block) {
	t.Helper()
	text := strings.Join(b.lines, "\n")
	var lines []string
	if b.language == "dockerfile" {
		mount := regexp.MustCompile(`RUN --mount=type=secret\S*env=(\w+)\S*\s+`)
		text = strings.ReplaceAll(text, "\\\n", " ")
		for _, name := range mount.FindAllStringSubmatch(text, -1) {
			r.env = append(r.env, name[1]+"=${{ secrets."+name[1]+" }}")
		}
		lines = strings.Split(mount.ReplaceAllString(text, ""), "\n")
	} else {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		lines = r.readYAML(&document)
	}
	if r.lines = arcadeLines(lines); len(r.lines) == 0 {
		t.Fatalf("the commands in it are %q, want some that call arcade", lines)
	}
}

// readYAML finds commands, variables and what is cached by their names, wherever they stand: each
// system has its own nesting.
func (r *recipe) readYAML(node *yaml.Node) (lines []string) {
	if node.Kind != yaml.MappingNode {
		for _, child := range node.Content {
			lines = append(lines, r.readYAML(child)...)
		}
		return lines
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		value := node.Content[i+1]
		texts := []string{value.Value}
		for _, child := range value.Content {
			texts = append(texts, child.Value)
		}
		switch node.Content[i].Value {
		case "run", "script", "command":
			lines = append(lines, strings.Split(strings.Join(texts, "\n"), "\n")...)
		case "env", "variables", "environment":
			for j := 0; j+1 < len(value.Content); j += 2 {
				r.env = append(r.env, value.Content[j].Value+"="+value.Content[j+1].Value)
			}
		case "path", "paths":
			r.kept = append(r.kept, texts...)
		default:
			lines = append(lines, r.readYAML(value)...)
		}
	}
	return lines
}

// cook runs the job twice, as a system does that prepares the home as the recipe says, on a runner whose one
// secret is the Engine's key.
func (r *recipe) cook(t *testing.T) {
	w := newWorld(t)
	secret := regexp.MustCompile(`\$\{\{.*\}\}|\$\{ARCADE_API_KEY\}`)
	for _, entry := range r.env {
		w.Env = append(w.Env, secret.ReplaceAllString(entry, testbed.EngineKey))
	}
	w.Env = append(w.Env, "ARCADE_API_KEY="+testbed.EngineKey) // of those that keep it in the project's settings
	if r.home == "read-only" {
		makeReadOnly(t, w.Home)
	}
	var ids []string
	for range 2 {
		for _, line := range r.lines {
			result, programs := w.typed(line)
			for _, program := range programs {
				if !strings.HasPrefix(program, "0 arcade ") {
					t.Errorf("in %q ended %q, want exit code 0:\n%s%s", line, program, result.Stdout, result.Stderr)
				}
			}
		}
		ids = append(ids, w.leaves(r.kept))
	}
	events := w.Posthog.Events()
	for _, e := range events {
		if want := "principal-" + strings.TrimPrefix(testbed.EngineKey, "arc_"); e.DistinctID != want {
			t.Errorf("an event is %s's, want %s's, whose key is in the environment", e.DistinctID, want)
		}
	}
	if isReadOnly := r.home == "read-only"; isReadOnly != (len(events) == 0) {
		t.Errorf("PostHog has %d events in a home that is %s", len(events), r.home)
	}
	if r.home == "cached" && (ids[0] == "" || ids[0] != ids[1]) || r.home == "fresh" && ids[0] != "" && ids[0] == ids[1] {
		t.Errorf("in a home that is %s the anon ids of two jobs are %q", r.home, ids)
	}
	w.NoViolations()
}

// leaves ends a job: whose home it is, "" if nothing of it is left, and gone is what the system does not keep.
func (w *world) leaves(kept []string) (id string) {
	w.Helper()
	w.AwaitNoFlusher()
	files, err := filepath.Glob(w.Path("*"))
	if err != nil {
		w.Fatal(err)
	}
	if slices.Contains(files, w.Path("usage.db")) {
		found := w.Inspect()
		if id = found.Identity.AnonID; found.Counts.Pending != 0 {
			w.Errorf("%d messages are left when the job ends, and go with its machine", found.Counts.Pending)
		}
	}
	for _, file := range files {
		if !slices.Contains(kept, "~"+strings.TrimPrefix(file, w.Home)) {
			if err := os.RemoveAll(file); err != nil {
				w.Fatal(err)
			}
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
	m.Offline()
	m.Must("succeed")
	m.Must("succeed")
	m.AwaitNoFlusher()
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
