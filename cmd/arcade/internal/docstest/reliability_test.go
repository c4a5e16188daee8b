package docstest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A promise whose test was renamed or deleted is no longer guarded.
func TestTheGuardsOfThePromisesExist(t *testing.T) {
	document := readText(t, filepath.Join(repository, "docs", "reliability.md"))
	var code []byte
	err := filepath.WalkDir(repository, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		content, err := os.ReadFile(name)
		code = append(code, content...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(document, -1)
	if len(named) < 30 {
		t.Fatalf("the document names %d tests, want those of every promise", len(named))
	}
	for _, name := range named {
		if !regexp.MustCompile(`func ` + name[1] + `\(`).Match(code) {
			t.Errorf("docs/reliability.md says that %s guards a promise; there is no such test", name[1])
		}
	}
}
