package secrets_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

// A file of many lines that are no secrets names the first few of each kind, and none of their text.
func TestARefusedFileNamesItsLinesByTheirNumbers(t *testing.T) {
	bad := strings.Repeat("sentinel/=x\n", 7)
	for content, want := range map[string]string{
		strings.Repeat("k", 257) + "=x":    "line 1 has a key that is no name",
		"A=\"x\" sentinel\n":               "line 1 has text behind a closing quote",
		strings.Repeat("sentinel/=x\n", 2): "lines 1, 2 have a key that is no name",
		strings.Repeat("sentinel/=x\n", 5): "lines 1, 2, 3, 4, 5 have a key that is no name",
		strings.Repeat("sentinel/=x\n", 6): "lines 1, 2, 3, 4, 5 and 1 more have a key that is no name",
		bad + "\nA=\"x\" sentinel":         "lines 1, 2, 3, 4, 5 and 2 more have a key that is no name, line 9 has text behind a closing quote",
	} {
		_, err := secrets.ReadEnv(strings.NewReader(content), "file.env")
		if got := fmt.Sprint(err); got != "'file.env' is refused and nothing is sent: "+want {
			t.Errorf("%q is refused with %q, want %q", content, got, want)
		}
	}
}
