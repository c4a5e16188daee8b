package docstest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/ArcadeAI/arcade-cli/"
	rooms  = "cmd/arcade/internal/"
)

// The arrows between the packages, as docs/architecture.md draws them.
func TestPackagesImportOnlyWhatTheirPlaceAllows(t *testing.T) {
	allowed := map[string][]string{
		"cmd/arcade":        {rooms + "cli", "outbox"},
		rooms + "cli":       {rooms + "advice", rooms + "browser", rooms + "report", rooms + "term", rooms + "track", "identity", "outbox/httpsend", "secrets"},
		rooms + "advice":    {rooms + "term", rooms + "track", "outbox", "outbox/httpsend"},
		rooms + "report":    {rooms + "term", rooms + "track"},
		rooms + "track":     {"identity", "migrations", "outbox", "outbox/httpsend", "outbox/posthog"},
		"cmd/sink":          {"outbox/outboxtest"},
		"outbox":            {"migrations", "outbox/detach", "outbox/internal/machine", "outbox/internal/store"},
		"outbox/example":    {"outbox", "outbox/httpsink"},
		"outbox/httpsink":   {"outbox", "outbox/httpsend"},
		"outbox/posthog":    {"outbox", "outbox/httpsend"},
		"outbox/httpsend":   {"outbox"},
		"outbox/outboxtest": {"outbox"},
	}
	for file, imports := range productionImports(t) {
		folder := path.Dir(file)
		for _, name := range imports {
			own, inside := strings.CutPrefix(name, module)
			if inside && !slices.Contains(allowed[folder], own) {
				t.Errorf("%s imports %s, which %s must not know", file, own, folder)
			}
		}
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
				if strings.HasPrefix(name, library) && file != owner && path.Dir(file) != owner {
					t.Errorf("%s imports %s; only %s does", file, name, owner)
				}
			}
		}
	}
}

// Who ends the process skips what others still have to do, such as to record the command. A flusher
// ends by itself, and by its watchdog.
func TestOnlyMainEndsTheProcess(t *testing.T) {
	for file := range productionImports(t) {
		if path.Base(file) == "main.go" || file == "outbox/flusher.go" || file == "outbox/detach/detach.go" {
			continue
		}
		ast.Inspect(parse(t, token.NewFileSet(), file), func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok && selector.Sel.Name == "Exit" && fmt.Sprint(selector.X) == "os" {
				t.Errorf("%s calls os.Exit", file)
			}
			return true
		})
	}
}

func TestNoRoomIsTooFull(t *testing.T) {
	files := map[string]int{}
	for file := range productionImports(t) {
		files[path.Dir(file)]++
	}
	for room, n := range files {
		if n > 15 {
			t.Errorf("%s has %d files, want 15 at most", room, n)
		}
	}
}

// What an embedder has to know of the library is seen without scrolling.
func TestTheLibrarysSurfaceIsOneScreen(t *testing.T) {
	cmd := exec.Command("go", "doc", "./outbox")
	cmd.Dir = repository
	said, err := cmd.CombinedOutput()
	if n := strings.Count(string(said), "\n"); err != nil || n >= 60 {
		t.Errorf("go doc ./outbox has %d lines, %v; want fewer than 60:\n%s", n, err, said)
	}
}

// A room is read from the top down when none of its files needs one that needs it.
func TestNoFilesOfARoomNeedEachOther(t *testing.T) {
	folders := map[string]bool{}
	for file := range productionImports(t) {
		folders[path.Dir(file)] = true
	}
	for room := range folders {
		if strings.HasSuffix(room, "test") && room != "outbox/outboxtest" { // stand-ins for our own tests
			continue
		}
		needs := neededFiles(t, room)
		var visit func(file string, above []string)
		visit = func(file string, above []string) {
			if at := slices.Index(above, file); at >= 0 {
				t.Errorf("in %s these files go round in a circle: %s", room, strings.Join(append(above[at:], file), " -> "))
				return
			}
			for _, next := range needs[file] {
				visit(next, append(slices.Clone(above), file))
			}
			needs[file] = nil // seen
		}
		for file := range needs {
			visit(file, nil)
		}
	}
}

// neededFiles returns, for each file of a package, the others that declare what it uses.
func neededFiles(t *testing.T, folder string) map[string][]string {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	for file := range productionImports(t) {
		if path.Dir(file) == folder && !strings.HasSuffix(file, "_windows.go") {
			files = append(files, parse(t, set, file))
		}
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	// What other packages declare is of no interest, so that they need not be found.
	config := types.Config{Error: func(error) {}, Importer: nothing{}}
	pkg, _ := config.Check(folder, set, files, info)
	needs := map[string][]string{}
	for use, object := range info.Uses {
		from, to := set.Position(use.Pos()).Filename, set.Position(object.Pos()).Filename
		if object.Pkg() == pkg && from != to && !slices.Contains(needs[from], to) {
			needs[from] = append(needs[from], to)
		}
	}
	if len(files) > 5 && len(needs) < 2 {
		t.Fatalf("%s: only %d files use each other: the test does not see the source", folder, len(needs))
	}
	return needs
}

type nothing struct{}

func (nothing) Import(string) (*types.Package, error) { return nil, fs.ErrNotExist }

func parse(t *testing.T, set *token.FileSet, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(set, filepath.Join(repository, name), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// productionImports returns the imports of every file of the product: no tests nor what only
// they use, and none of the tools in .ci.
func productionImports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(repository, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && name != repository || entry.Name() == "testbed") {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(repository, name)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(relative)
		found[key] = nil
		for _, spec := range file.Imports {
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
	if len(found) < 30 {
		t.Fatalf("only %d files were found: the test looks in the wrong place", len(found))
	}
	return found
}
