package migrations_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/migrations"
)

// The place of a file is the version it leads to, so a gap, or two files of one number, would change
// what a version means.
func TestTheFilesAreNumberedWithoutGaps(t *testing.T) {
	for name, set := range map[string]fs.FS{"queue": migrations.Queue(), "identity": migrations.Identity()} {
		files, err := fs.Glob(set, "*.sql")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has the files %v (%v), want some", name, files, err)
		}
		for i, file := range files {
			if want := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(file, want) {
				t.Errorf("%s: file %d is %s, want it to begin with %s", name, i+1, file, want)
			}
		}
	}
}
