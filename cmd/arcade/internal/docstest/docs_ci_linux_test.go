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
	home   string   // "fresh", "cached" or "read-only", as the block says
	env    []string // of the whole job and of its steps
	kept   []string // paths that the system keeps from job to job
	lines  []string // command lines that call arcade
	syntax error
}

// recipeHomes are the words behind a block's language that make it a recipe.
var recipeHomes = []string{"fresh", "cached", "read-only"}

// recipeOf reads a block; ok is false for one that is no recipe.
func recipeOf(b block) (r recipe, ok bool) {
	if !slices.Contains(recipeHomes, b.words[0]) {
		return r, false
	}
	r.home = b.words[0]
	text := strings.Join(b.lines, "\n")
	if b.language == "dockerfile" {
		r.readDockerfile(text)
		return r, true
	}
	var document yaml.Node
	r.syntax = yaml.Unmarshal([]byte(text), &document)
	r.readYAML(&document)
	return r, true
}

// readYAML finds commands, variables and what is cached by their names, wherever they stand: each
// system has its own nesting.
func (r *recipe) readYAML(node *yaml.Node) {
	if node.Kind != yaml.MappingNode {
		for _, child := range node.Content {
			r.readYAML(child)
		}
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		switch value := node.Content[i+1]; node.Content[i].Value {
		case "run", "script", "command":
			for _, text := range scalars(value) {
				r.add(strings.Split(text, "\n")...)
			}
		case "env", "variables", "environment":
			for j := 0; j+1 < len(value.Content); j += 2 {
				r.env = append(r.env, value.Content[j].Value+"="+value.Content[j+1].Value)
			}
		case "path", "paths":
			r.kept = append(r.kept, scalars(value)...)
		default:
			r.readYAML(value)
		}
	}
}

// scalars returns a text, or the texts of a list.
func scalars(node *yaml.Node) (texts []string) {
	if node.Kind == yaml.ScalarNode {
		return []string{node.Value}
	}
	for _, child := range node.Content {
		texts = append(texts, scalars(child)...)
	}
	return texts
}

func (r *recipe) readDockerfile(text string) {
	secret := regexp.MustCompile(`--mount=type=secret\S*env=(\w+)\S*\s+`)
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		if command, found := strings.CutPrefix(line, "RUN "); found {
			for _, name := range secret.FindAllStringSubmatch(command, -1) {
				r.env = append(r.env, name[1]+"=${{ secrets."+name[1]+" }}")
			}
			r.add(strings.TrimSpace(secret.ReplaceAllString(command, "")))
		}
	}
}

func (r *recipe) add(lines ...string) {
	for _, line := range lines {
		if callsArcade.MatchString(line) {
			r.lines = append(r.lines, line)
		}
	}
}

// ciEnvironment are the variables as the system sets them, on a runner whose project lies in the
// home and whose one secret is the Engine's key.
func (r recipe) ciEnvironment(home string) (set []string) {
	expression := regexp.MustCompile(`\$\{\{.*\}\}|\$\{ARCADE_API_KEY\}`)
	for _, entry := range r.env {
		entry = expression.ReplaceAllString(entry, testbed.EngineKey)
		set = append(set, strings.ReplaceAll(entry, "$CI_PROJECT_DIR", home))
	}
	return append(set, "ARCADE_API_KEY="+testbed.EngineKey) // of those that keep it in the project's settings
}

func TestEveryRecipeForCIWorksInTheHomeItIsAbout(t *testing.T) {
	ran := map[string]int{}
	for name, document := range documents(t) {
		list, _ := blocks(document)
		for _, b := range list {
			r, ok := recipeOf(b)
			if !ok {
				continue
			}
			ran[r.home]++
			t.Run(name+":"+strconv.Itoa(b.number), func(t *testing.T) {
				t.Parallel()
				if r.syntax != nil || len(r.lines) == 0 {
					t.Fatalf("%v; the commands in it are %q, want some that call arcade", r.syntax, r.lines)
				}
				r.cook(t)
			})
		}
	}
	for _, home := range recipeHomes {
		if ran[home] == 0 {
			t.Errorf("no recipe is about a home that is %s", home)
		}
	}
}

// cook runs the job twice, as a system does that prepares the home as the recipe says.
func (r recipe) cook(t *testing.T) {
	w := newWorld(t)
	w.Env = append(w.Env, r.ciEnvironment(w.Home)...)
	if r.home == "read-only" {
		w.makeHomeReadOnly(t)
	}
	var ids []string
	for range 2 {
		w.job(r.lines)
		ids = append(ids, w.anonID())
		w.forgetAllBut(r.kept)
	}
	switch r.home {
	case "read-only":
		if files, _ := filepath.Glob(w.Path("*")); len(files) > 0 || len(w.Posthog.Events()) > 0 {
			t.Errorf("there are %v and %d events, want nothing recorded", files, len(w.Posthog.Events()))
		}
		return
	case "cached":
		if ids[0] == "" || ids[0] != ids[1] {
			t.Errorf("the anon ids of two jobs are %q, want the same", ids)
		}
	case "fresh":
		if ids[0] != "" && ids[0] == ids[1] {
			t.Errorf("two fresh homes have the same anon id %s", ids[0])
		}
	}
	w.belongsToTheKey(2)
}

func (w *world) job(lines []string) {
	w.Helper()
	for _, line := range lines {
		r, programs := w.typed(line)
		for _, program := range programs {
			if !strings.HasPrefix(program, "0 arcade ") {
				w.Errorf("in %q ended %q, want exit code 0:\n%s%s", line, program, r.Stdout, r.Stderr)
			}
		}
	}
}

// anonID is who the home is, "" if it holds nothing any more.
func (w *world) anonID() string {
	w.Helper()
	if _, err := os.Stat(w.Path("usage.db")); err != nil {
		return ""
	}
	found := w.Inspect()
	if found.Counts.Pending != 0 {
		w.Errorf("%d messages are left when the job ends, and go with its machine", found.Counts.Pending)
	}
	return found.Identity.AnonID
}

// forgetAllBut removes Arcade's files, except those that the system keeps.
func (w *world) forgetAllBut(kept []string) {
	w.Helper()
	w.AwaitNoFlusher()
	files, err := filepath.Glob(w.Path("*"))
	if err != nil {
		w.Fatal(err)
	}
	for _, file := range files {
		relative, err := filepath.Rel(w.Home, file)
		if err != nil {
			w.Fatal(err)
		}
		if slices.Contains(kept, relative) || slices.Contains(kept, "~/"+relative) {
			continue
		}
		if err := os.Remove(file); err != nil {
			w.Fatal(err)
		}
	}
}

// belongsToTheKey checks what PostHog has got of that many jobs or more commands.
func (w *world) belongsToTheKey(atLeast int) {
	w.Helper()
	events := w.Posthog.Events()
	if len(events) < atLeast {
		w.Errorf("PostHog has %d events, want one of each job at least", len(events))
	}
	for _, e := range events {
		if want := "principal-" + strings.TrimPrefix(testbed.EngineKey, "arc_"); e.DistinctID != want {
			w.Errorf("an event is %s's, want %s's, whose key is in the environment", e.DistinctID, want)
		}
	}
	if n := len(w.Aliases()); n != 0 {
		w.Errorf("PostHog has %d aliases, want none of a key that nobody has logged in with", n)
	}
	w.NoViolations()
}

// makeHomeReadOnly also keeps root out.
func (w *world) makeHomeReadOnly(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := os.Chmod(w.Home, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(w.Home, 0o700) })
		return
	}
	testbed.MountTmpfs(t, w.Home, testbed.Roomy, 0)
	testbed.MountTmpfs(t, w.Home, testbed.Roomy, syscall.MS_REMOUNT|syscall.MS_RDONLY)
}

// What stands in the document is what is in a log, but for figures.
func TestTheDocumentShowsWhatFlushPrints(t *testing.T) {
	figures := regexp.MustCompile(`\d+(\.\d)?`)
	m := testbed.NewMachine(t)
	m.Offline()
	m.Must("succeed")
	m.Must("succeed")
	m.AwaitNoFlusher()
	offline := m.Run("usage", "flush")
	m.Online()
	online := m.Run("usage", "flush")
	list, _ := blocks(readText(t, filepath.Join(repository, "docs", "ci.md")))
	for what, r := range map[string]testbed.Result{"with a network": online, "without one": offline} {
		want := figures.ReplaceAllString(r.Stdout+r.Stderr, "N")
		shown := slices.ContainsFunc(list, func(b block) bool {
			return b.language == "text" && figures.ReplaceAllString(strings.Join(b.lines, "\n")+"\n", "N") == want
		})
		if !shown {
			t.Errorf("docs/ci.md does not show what flush prints %s:\n%s%s", what, r.Stdout, r.Stderr)
		}
	}
}

// In a home that is new, the id is, too. Who looks is told.
func TestAFreshHomeSaysThatItsIDIsNew(t *testing.T) {
	s := testbed.NewMachine(t)
	s.Must("succeed")
	s.AwaitNoFlusher()
	id := s.Inspect().Identity.AnonID[:8]
	want := regexp.MustCompile(`anonymous \(id ` + id + `…, which this home got (just now|\d s ago)\)`)
	cmd := s.Command("usage", "inspect")
	cmd.Env = append(cmd.Env, "TERM=xterm-256color", "LANG=C.UTF-8")
	if _, output := testbed.OnTerminal(t, 140, cmd).End(); !want.MatchString(output) {
		t.Errorf("inspect says\n%s\nwant %s", output, want)
	}
	if output := s.Must("usage", "status").Stdout; !strings.Contains(output, "which this home got") {
		t.Errorf("status says\n%s\nwant since when this home has its id, also in a log", output)
	}
}
