package docstest

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/ArcadeAI/arcade-cli/"
	rooms  = "cmd/arcade/internal/"
)

// source is a file of the product.
type source struct {
	path, text string
	imports    []string // as they are written, without the quotes
}

// product returns the files of the product, those for other systems, too.
func product(t *testing.T) (files []source) {
	t.Helper()
	for _, folder := range []string{"cmd", "identity", "migrations", "outbox", "secrets"} {
		err := fs.WalkDir(os.DirFS(repository), folder, func(name string, _ fs.DirEntry, err error) error {
			if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || path.Dir(name) == rooms+"testbed" {
				return err
			}
			s := source{path: name, text: readText(t, name)}
			file, err := parser.ParseFile(token.NewFileSet(), name, s.text, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, spec := range file.Imports {
				s.imports = append(s.imports, strings.Trim(spec.Path.Value, `"`))
			}
			files = append(files, s)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// The diagram is the rule: an import that it does not draw is one that has not been thought about.
func TestPackagesImportWhatTheDiagramDraws(t *testing.T) {
	names, drawn, real := map[string]string{}, map[string]bool{}, map[string]bool{}
	diagrams, _ := blocks(readText(t, "docs/architecture.md"))
	label := regexp.MustCompile(`(\w+)\["(.+?)"\]`)
	for _, node := range label.FindAllStringSubmatch(diagrams[0].text, -1) {
		names[node[1]] = node[2]
	}
	arrow := regexp.MustCompile(`(\w+) --> (\w+)`)
	for _, ends := range arrow.FindAllStringSubmatch(label.ReplaceAllString(diagrams[0].text, "$1"), -1) {
		drawn[names[ends[1]]+" -> "+names[ends[2]]] = true
	}
	for _, s := range product(t) {
		for _, name := range s.imports {
			if own, inside := strings.CutPrefix(name, module); inside {
				real[path.Dir(s.path)+" -> "+own] = true
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
	for _, s := range product(t) {
		for _, name := range s.imports {
			for library, owner := range owners {
				if strings.HasPrefix(name, library) && path.Dir(s.path) != owner {
					t.Errorf("%s imports %s; only %s does", s.path, name, owner)
				}
			}
		}
	}
}

// Ending the process skips what others still have to do, such as to record the command. A flusher
// ends by itself, and by its watchdog.
func TestOnlyMainEndsTheProcess(t *testing.T) {
	for _, s := range product(t) {
		may := path.Base(s.path) == "main.go" || s.path == "outbox/flusher.go" || s.path == "outbox/detach/detach.go"
		if strings.Contains(s.text, "os.Exit(") && !may {
			t.Errorf("%s calls os.Exit", s.path)
		}
	}
}

// A command has a file of its own and can be read without the others: it fills no room.
func TestNoRoomIsTooFull(t *testing.T) {
	files := map[string]int{}
	for _, s := range product(t) {
		if !strings.Contains(s.text, ") *cobra.Command {\n") || path.Base(s.path) == "app.go" {
			files[path.Dir(s.path)]++
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
	for _, s := range product(t) {
		folder, name := path.Split(s.path)
		if ours, _ := build.Default.MatchFile(filepath.Join(repository, folder), name); ours {
			folders[folder] = append(folders[folder], name)
		}
	}
	for folder, files := range folders {
		needs := neededFiles(t, folder, files)
		var visit func(file string, above []string)
		visit = func(file string, above []string) {
			if at := slices.Index(above, file); at >= 0 {
				t.Errorf("in %s these files go round in a circle: %s", folder, strings.Join(append(above[at:], file), " -> "))
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
func neededFiles(t *testing.T, folder string, names []string) map[string]map[string]bool {
	t.Helper()
	set, needs := token.NewFileSet(), map[string]map[string]bool{}
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(set, name, readText(t, folder+name), 0)
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
