package secrets_test

import (
	"testing"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

func TestEndingKeepsTwelveCharactersHidden(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"sixteen characters leave twelve hidden", "0123456789abWXYZ", "WXYZ"},
		{"fifteen characters show nothing", "123456789abWXYZ", ""},
		{"characters count, not bytes", "ääääääääääääWXYZ", "WXYZ"},
		{"fifteen characters of two bytes show nothing", "äääääääääääWXYZ", ""},
		{"other scripts are shown", "0123456789abпарл", "парл"},
		{"a line break at the end shows nothing", "0123456789abcdefghi\n", ""},
		{"an escape character shows nothing", "0123456789ab\x1b[0m", ""},
	}
	for _, tt := range tests {
		if got := secrets.Ending(tt.value); got != tt.want {
			t.Errorf("%s: Ending(%q) = %q, want %q", tt.name, tt.value, got, tt.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"plain text stays", "Secret set via CLI", "Secret set via CLI"},
		{"other scripts and emoji stay", "größe 漢字 مرحبا 🔑", "größe 漢字 مرحبا 🔑"},
		{"colours go", "\x1b[1;31mred\x1b[0m", "red"},
		{"cursor movements go", "a\x1b[2K\x1b[1Ab", "ab"},
		{"a window title goes", "a\x1b]0;title\x07b", "ab"},
		{"a link's address goes, its text stays", "\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\", "text"},
		{"a device control string goes", "a\x1bP1$r0m\x1b\\b", "ab"},
		{"a reset goes", "a\x1bcb", "ab"},
		{"a character set switch goes", "a\x1b(0b", "ab"},
		{"C1 controls go with what they control", "a\u009b31mb\u009d0;t\u009cc", "abc"},
		{"an OSC without an end loses its power, not the text", "a\x1b]0;title", "a0;title"},
		{"a lone escape goes", "a\x1b", "a"},
		{"bells, backspaces and deletes go", "a\x07\x08\x7fb\x00", "ab"},
		{"line breaks and tabs are blanks", "a\r\nb\tc\u2028d", "a  b c d"},
		{"what turns the direction goes", "a\u202eb\u2066c\u200fd", "abcd"},
		{"invisible characters go", "a\u200bb\ufeffc\U000e0041d", "abcd"},
		{"other widths of blanks are blanks", "a\u00a0b\u3000c", "a b c"},
		{"bytes that are not UTF-8 are replaced", "a\xffb\x9bc", "a\ufffdb\ufffdc"},
	}
	for _, tt := range tests {
		if got := secrets.Printable(tt.text); got != tt.want {
			t.Errorf("%s: Printable(%q) = %q, want %q", tt.name, tt.text, got, tt.want)
		}
	}
}
