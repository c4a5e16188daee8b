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

// product returns the packages of the product by their directories.
func product(t *testing.T, system build.Context) map[string]*build.Package {
	t.Helper()
	list := map[string]*build.Package{}
	for _, folder := range []string{"cmd", "identity", "migrations", "outbox", "secrets"} {
		err := fs.WalkDir(os.DirFS(repository), folder, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() || name == rooms+"testbed" {
				return err
			}
			if pkg, err := system.ImportDir(filepath.Join(repository, name), 0); err == nil { // not of a folder without Go
				list[name] = pkg
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// everySystem finds the files for other systems, too.
func everySystem() build.Context {
	system := build.Default
	system.UseAllFiles = true
	return system
}

// sources returns the text of the product's files by path.
func sources(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{}
	for folder, pkg := range product(t, everySystem()) {
		for _, name := range pkg.GoFiles {
			list[folder+"/"+name] = readText(t, folder+"/"+name)
		}
	}
	return list
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
	for folder, pkg := range product(t, everySystem()) {
		for _, name := range pkg.Imports {
			if own, inside := strings.CutPrefix(name, module); inside {
				real[folder+" -> "+own] = true
			}
		}
	}
	if !maps.Equal(drawn, real) {
		t.Errorf("docs/architecture.md draws\n%q, the code has\n%q", slices.Sorted(maps.Keys(drawn)), slices.Sorted(maps.Keys(real)))
	}
}

// A library that only one package knows can be replaced there.
func TestEachOfTheseLibrariesHasOneImporter(t *testing.T) {
	packages := product(t, everySystem())
	for library, owner := range map[string]string{
		"modernc.org/sqlite":            "outbox/internal/store",
		"github.com/posthog/posthog-go": "outbox/posthog",
		"github.com/jedib0t/go-pretty":  rooms + "term",
		"golang.org/x/term":             rooms + "term",
		"github.com/joho/godotenv":      "secrets",
		"github.com/spf13/":             rooms + "cli",
	} {
		for folder, pkg := range packages {
			if folder != owner && strings.Contains("\n"+strings.Join(pkg.Imports, "\n"), "\n"+library) {
				t.Errorf("%s imports %s; only %s does", folder, library, owner)
			}
		}
	}
}

// Ending the process skips what others still have to do, such as to record the command. A flusher
// ends by itself, and by its watchdog.
func TestOnlyMainEndsTheProcess(t *testing.T) {
	for file, text := range sources(t) {
		may := strings.HasSuffix(file, "/main.go") || file == "outbox/flusher.go" || file == "outbox/detach/detach.go"
		if strings.Contains(text, "os.Exit(") && !may {
			t.Errorf("%s calls os.Exit", file)
		}
	}
}

// A command has a file of its own, which can be read without the others: it fills no room.
func TestNoRoomIsTooFull(t *testing.T) {
	files := map[string]int{}
	for file, text := range sources(t) {
		room := path.Dir(file)
		if strings.HasSuffix(file, "/app.go") || !strings.Contains(text, ") *cobra.Command {\n") {
			files[room]++
		}
		if files[room] > 15 {
			t.Errorf("%s has more than 15 files", room)
		}
	}
}

// A package is read from the top down when none of its files needs one that needs it. What needs nothing that is left is
// taken away until only circles are left, and what needs them.
func TestNoFilesOfAPackageNeedEachOther(t *testing.T) {
	for folder, pkg := range product(t, build.Default) {
		needs := neededFiles(t, folder, pkg.GoFiles)
		for left := len(needs) + 1; left > len(needs); {
			left = len(needs)
			for file, others := range needs {
				if len(others) == 0 {
					delete(needs, file)
					for _, above := range needs {
						delete(above, file)
					}
				}
			}
		}
		if len(needs) > 0 {
			t.Errorf("in %s files need each other in a circle: %v", folder, needs)
		}
	}
}

// neededFiles returns, for each file of a package, the others that declare what it uses.
func neededFiles(t *testing.T, folder string, names []string) map[string]map[string]bool {
	t.Helper()
	set, needs := token.NewFileSet(), map[string]map[string]bool{}
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(set, name, readText(t, folder+"/"+name), 0)
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
