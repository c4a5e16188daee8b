package docstest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
	for file, imports := range productionImports(t) {
		for _, name := range imports {
			if own, inside := strings.CutPrefix(name, module); inside {
				real[path.Dir(file)+" -> "+own] = true
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
	for file, imports := range productionImports(t) {
		for _, name := range imports {
			for library, owner := range owners {
				if strings.HasPrefix(name, library) && path.Dir(file) != owner {
					t.Errorf("%s imports %s; only %s does", file, name, owner)
				}
			}
		}
	}
}

// Ending the process skips what others still have to do, such as to record the command. A flusher
// ends by itself, and by its watchdog.
func TestOnlyMainEndsTheProcess(t *testing.T) {
	for file := range productionImports(t) {
		if path.Base(file) == "main.go" || file == "outbox/flusher.go" || file == "outbox/detach/detach.go" {
			continue
		}
		ast.Inspect(parse(t, token.NewFileSet(), file, 0), func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok && selector.Sel.Name == "Exit" && fmt.Sprint(selector.X) == "os" {
				t.Errorf("%s calls os.Exit", file)
			}
			return true
		})
	}
}

// A command has a file of its own and can be read without the others: it fills no room.
func TestNoRoomIsTooFull(t *testing.T) {
	files := map[string]int{}
	for file := range productionImports(t) {
		if !strings.Contains(readText(t, file), ") *cobra.Command {\n") || path.Base(file) == "app.go" {
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
	folders := map[string][]string{}
	for file := range allImports(t) {
		if !strings.HasSuffix(file, "_windows.go") {
			folders[path.Dir(file)] = append(folders[path.Dir(file)], file)
		}
	}
	for room, files := range folders {
		if room == "identity/identitytest" {
			continue
		}
		needs := neededFiles(t, files)
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
		for _, file := range files {
			visit(file, nil)
		}
	}
}

// neededFiles returns, for each file of a package, the others that declare what it uses.
func neededFiles(t *testing.T, names []string) map[string]map[string]bool {
	t.Helper()
	set, needs := token.NewFileSet(), map[string]map[string]bool{}
	var files []*ast.File
	for _, name := range names {
		files = append(files, parse(t, set, name, 0))
		needs[name] = map[string]bool{}
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

func parse(t *testing.T, set *token.FileSet, name string, mode parser.Mode) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(set, name, readText(t, name), mode)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// productionImports returns the imports of every file of the product, without the test bed.
func productionImports(t *testing.T) map[string][]string {
	t.Helper()
	found := allImports(t)
	maps.DeleteFunc(found, func(file string, _ []string) bool { return path.Dir(file) == rooms+"testbed" })
	return found
}

// allImports returns the imports of every Go file but tests, and the tools in .ci.
func allImports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, folder := range []string{"cmd", "identity", "migrations", "outbox", "secrets"} {
		err := filepath.WalkDir(filepath.Join(repository, folder), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			key := strings.TrimPrefix(filepath.ToSlash(name), repository+"/")
			found[key] = nil
			for _, spec := range parse(t, token.NewFileSet(), key, parser.ImportsOnly).Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				found[key] = append(found[key], imported)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}
