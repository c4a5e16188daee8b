//go:build unix

package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

func TestANoteIsNotWrittenToWhatAPlantedLinkLeadsTo(t *testing.T) {
	for name, link := range map[string]func(target, path string) error{"a link": os.Symlink, "a hard link": os.Link} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			target, path := filepath.Join(dir, "others"), filepath.Join(dir, "usage.db.notes")
			if err := os.WriteFile(target, []byte("theirs"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := link(target, path); err != nil {
				t.Fatal(err)
			}
			store.AddNote(path, "a note")
			if content, err := os.ReadFile(target); err != nil || string(content) != "theirs" {
				t.Errorf("what the link leads to holds %q (%v), want it untouched", content, err)
			}
			if content, err := os.ReadFile(path); err != nil || string(content) != "a note\n" {
				t.Errorf("the note is %q (%v)", content, err)
			}
		})
	}
}
