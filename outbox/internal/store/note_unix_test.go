//go:build unix

package store_test

import (
	"errors"
	"os"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox/internal/store"
)

func TestANoteIsNotWrittenToWhatAPlantedLinkLeadsTo(t *testing.T) {
	for name, link := range map[string]func(target, path string) error{"a link": os.Symlink, "a hard link": os.Link} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			target, path := b.path+".others", b.path+".notes"
			b.must(errors.Join(os.WriteFile(target, []byte("theirs"), 0o600), link(target, path)))
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
