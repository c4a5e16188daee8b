package docstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	module = "github.com/ArcadeAI/arcade-cli/"
	rooms  = "cmd/arcade/internal/"
)

// The diagram is the rule: an import that it does not draw is one that has not been thought about.
func TestPackagesImportWhatTheDiagramDraws(t *testing.T) {
	names, drawn, real := map[string]string{}, map[string]bool{}, map[string]bool{}
	arrow := regexp.MustCompile(`(?m)^\s*(\w+)(?:\["([^"]+)"\])? --> (\w+)(?:\["([^"]+)"\])?$`)
	diagram, _, _ := strings.Cut(readText(t, "docs/architecture.md"), "\n```\n")
	for _, ends := range arrow.FindAllStringSubmatch(diagram, -1) {
		for i := 1; i < len(ends); i += 2 {
			if ends[i+1] != "" {
				names[ends[i]] = ends[i+1]
			}
		}
		drawn[names[ends[1]]+" -> "+names[ends[3]]] = true
	}
	for folder, p := range packages(t) {
		for _, name := range p.Imports {
			if own, inside := strings.CutPrefix(name, module); inside && folder != rooms+"testbed" {
				real[folder+" -> "+own] = true
			}
		}
	}
	if !maps.Equal(drawn, real) {
		t.Errorf("docs/architecture.md draws\n%q, the code has\n%q", slices.Sorted(maps.Keys(drawn)), slices.Sorted(maps.Keys(real)))
	}
}

// A library that only one place knows can be replaced there.
func TestEachOfTheseLibrariesHasOneImporter(t *testing.T) {
	owners := map[string]string{
		"modernc.org/sqlite":            "outbox/internal/store",
		"github.com/posthog/posthog-go": "outbox/posthog",
		"github.com/jedib0t/go-pretty":  rooms + "term",
		"golang.org/x/term":             rooms + "term",
		"github.com/joho/godotenv":      "secrets",
		"github.com/spf13/":             rooms + "cli",
	}
	for folder, p := range packages(t) {
		for _, name := range p.Imports {
			for library, owner := range owners {
				if strings.HasPrefix(name, library) && folder != owner && folder != rooms+"testbed" {
					t.Errorf("%s imports %s; only %s does", folder, name, owner)
				}
			}
		}
	}
}

// Ending the process skips what others still have to do, such as to record the command. A flusher
// ends by itself, and by its watchdog.
func TestOnlyMainEndsTheProcess(t *testing.T) {
	for file, text := range sources(t) {
		may := path.Base(file) == "main.go" || file == "outbox/flusher.go" || file == "outbox/detach/detach.go"
		if strings.Contains(text, "os.Exit(") && !may {
			t.Errorf("%s calls os.Exit", file)
		}
	}
}

// A command has a file of its own and can be read without the others: it fills no room.
func TestNoRoomIsTooFull(t *testing.T) {
	files := map[string]int{}
	for file, text := range sources(t) {
		if !strings.Contains(text, ") *cobra.Command {\n") || path.Base(file) == "app.go" {
			files[path.Dir(file)]++
		}
	}
	for room, n := range files {
		if n > 15 {
			t.Errorf("%s has %d files, want 15 at most", room, n)
		}
	}
}

// A room is read from the top down when none of its files needs one that needs it.
func TestNoFilesOfARoomNeedEachOther(t *testing.T) {
	for room, p := range packages(t) {
		needs := neededFiles(t, room, p.GoFiles)
		var visit func(file string, above []string)
		visit = func(file string, above []string) {
			if at := slices.Index(above, file); at >= 0 {
				t.Errorf("in %s these files go round in a circle: %s", room, strings.Join(append(above[at:], file), " -> "))
				return
			}
			for next := range needs[file] {
				visit(next, append(slices.Clone(above), file))
			}
			delete(needs, file) // seen
		}
		for _, file := range p.GoFiles {
			visit(file, nil)
		}
	}
}

// neededFiles returns, for each file of a package, the others that declare what it uses.
func neededFiles(t *testing.T, room string, names []string) map[string]map[string]bool {
	t.Helper()
	set, needs := token.NewFileSet(), map[string]map[string]bool{}
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(set, name, readText(t, room+"/"+name), 0)
		if err != nil {
			t.Fatal(err)
		}
		files, needs[name] = append(files, file), map[string]bool{}
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	// What other packages declare is of no interest, so that they need not be found.
	config := types.Config{Error: func(error) {}, Importer: nothing{}}
	pkg, _ := config.Check("room", set, files, info)
	for use, object := range info.Uses {
		from, to := set.Position(use.Pos()).Filename, set.Position(object.Pos()).Filename
		if object.Pkg() == pkg && from != to {
			needs[from][to] = true
		}
	}
	return needs
}

type nothing struct{}

func (nothing) Import(string) (*types.Package, error) { return nil, fs.ErrNotExist }

// pkg is a package as `go list` shows it, without its tests.
type pkg struct {
	ImportPath       string
	GoFiles, Imports []string
}

// packages returns those of the product and the test bed, by folder.
func packages(t *testing.T) map[string]pkg {
	t.Helper()
	found, err := listed()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// listed asks once: it takes seconds.
var listed = sync.OnceValues(func() (map[string]pkg, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,GoFiles,Imports", "./cmd/...", "./identity/...", "./migrations", "./outbox/...", "./secrets/...")
	cmd.Dir = repository
	list, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", cmd.Args, err)
	}
	found := map[string]pkg{}
	for documents := json.NewDecoder(bytes.NewReader(list)); documents.More(); {
		var p pkg
		if err := documents.Decode(&p); err != nil {
			return nil, err
		}
		found[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	return found, nil
})

// sources returns the files of the product by their names.
func sources(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for folder, p := range packages(t) {
		for _, name := range p.GoFiles {
			if folder != rooms+"testbed" {
				found[folder+"/"+name] = readText(t, folder+"/"+name)
			}
		}
	}
	return found
}
