package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// A promise whose test was renamed or deleted is no longer guarded.
func TestTheGuardsOfThePromisesExist(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	var code []byte
	for _, folder := range []string{".", "../../outbox", "../../identity"} {
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code = append(code, content...)
		}
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllSubmatch(document, -1)
	if len(named) < 30 {
		t.Fatalf("the document names %d tests, want those of every promise", len(named))
	}
	for _, name := range named {
		if !regexp.MustCompile(`func ` + string(name[1]) + `\(`).Match(code) {
			t.Errorf("docs/reliability.md says that %s guards a promise; there is no such test", name[1])
		}
	}
}
