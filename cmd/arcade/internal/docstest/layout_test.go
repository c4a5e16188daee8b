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

// sources returns the product's files by path, those for other systems, too.
func sources(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{}
	for _, folder := range []string{"cmd", "identity", "migrations", "outbox", "secrets"} {
		err := fs.WalkDir(os.DirFS(repository), folder, func(name string, _ fs.DirEntry, err error) error {
			isTest := strings.HasSuffix(name, "_test.go") || path.Base(path.Dir(name)) == "testbed"
			if path.Ext(name) == ".go" && !isTest {
				list[name] = readText(t, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// The diagram is the rule: an import that it does not draw is one that has not been thought about. A library that only one
// package knows can be replaced there; the diagram names it by what its packages begin with.
func TestPackagesImportWhatTheDiagramDraws(t *testing.T) {
	names, drawn, real := map[string]string{}, map[string]bool{}, map[string]bool{}
	diagram := blocks(readText(t, "docs/architecture.md"))[0].text
	label := regexp.MustCompile(`(\w+)\["(.+?)"\]`)
	for _, node := range label.FindAllStringSubmatch(diagram, -1) {
		names[node[1]] = node[2]
	}
	arrow := regexp.MustCompile(`(\w+) --> (\w+)`)
	for _, ends := range arrow.FindAllStringSubmatch(label.ReplaceAllString(diagram, "$1"), -1) {
		drawn[names[ends[1]]+" -> "+names[ends[2]]] = true
	}
	for name, text := range sources(t) {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range file.Imports {
			needed := strings.Trim(imported.Path.Value, `"`)
			if own, inside := strings.CutPrefix(needed, "github.com/ArcadeAI/arcade-cli/"); inside {
				real[path.Dir(name)+" -> "+own] = true
			}
			for _, library := range names {
				if strings.HasPrefix(needed, library) {
					real[path.Dir(name)+" -> "+library] = true
				}
			}
		}
	}
	if !maps.Equal(drawn, real) {
		t.Errorf("docs/architecture.md draws\n%q, the code has\n%q", slices.Sorted(maps.Keys(drawn)), slices.Sorted(maps.Keys(real)))
	}
}

// A package is read from the top down when none of its files needs one that needs it. What needs nothing that is left is
// taken away until only circles are left, and what needs them.
func TestNoFilesOfAPackageNeedEachOther(t *testing.T) {
	set, packages := token.NewFileSet(), map[string][]*ast.File{}
	for name, text := range sources(t) {
		folder, base := path.Split(name)
		if here, err := build.Default.MatchFile(filepath.Join(repository, folder), base); !here && err == nil {
			continue // it is for another system
		}
		file, err := parser.ParseFile(set, name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		packages[folder] = append(packages[folder], file)
	}
	for folder, files := range packages {
		info, needs := &types.Info{Uses: map[*ast.Ident]types.Object{}}, map[string][]string{}
		config := types.Config{Error: func(error) {}} // other packages are not found, and what they declare is of no interest
		pkg, _ := config.Check("room", set, files, info)
		for use, object := range info.Uses {
			from, to := set.Position(use.Pos()).Filename, set.Position(object.Pos()).Filename
			if object.Pkg() == pkg && from != to && !slices.Contains(needs[from], to) {
				needs[from] = append(needs[from], to)
			}
		}
		for left := -1; left != len(needs); {
			left = len(needs)
			maps.DeleteFunc(needs, func(_ string, others []string) bool {
				return !slices.ContainsFunc(others, func(other string) bool { return needs[other] != nil })
			})
		}
		if len(needs) > 0 {
			t.Errorf("in %s files need each other in a circle: %v", folder, needs)
		}
	}
}
