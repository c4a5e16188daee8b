package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ArcadeAI/arcade-cli/"

// The arrows between the packages, as docs/architecture.md draws them.
func TestPackagesImportOnlyWhatTheirPlaceAllows(t *testing.T) {
	allowed := map[string][]string{
		"cmd/arcade":          {"identity", "outbox", "secrets"},
		"cmd/sink":            {"outbox/outboxtest"},
		"outbox":              {"migrations"},
		"outbox/outboxtest":   {},
		"identity":            {},
		"secrets":             {},
		"secrets/secretstest": {},
		"migrations":          {},
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

// A library that only one file knows can be replaced in that file.
func TestEachOfTheseLibrariesHasOneImporter(t *testing.T) {
	owners := map[string]string{
		"modernc.org/sqlite":            "outbox/db.go",
		"github.com/posthog/posthog-go": "outbox/posthog.go",
		"github.com/jedib0t/go-pretty":  "cmd/arcade/table.go",
		"github.com/joho/godotenv":      "secrets",
		"github.com/spf13/cobra":        "cmd/arcade",
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

// productionImports returns the imports of every file of the product: no tests, and none of
// the tools in .ci.
func productionImports(t *testing.T) map[string][]string {
	t.Helper()
	root := filepath.Join("..", "..")
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && name != root {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			key := filepath.ToSlash(relative)
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
