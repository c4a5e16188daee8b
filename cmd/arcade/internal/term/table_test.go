package term

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
)

func TestATableFitsTheTerminal(t *testing.T) {
	columns := []Column{
		{Title: "SEQ", Right: true}, {Title: "STATE"}, {Title: "RESULT", Drop: 1}, {Title: "NOTE", Drop: 2, Shrink: true}, {Title: "UUID", Drop: 3},
	}
	rows := [][]string{
		{"7", "\x1b[32m✓ delivered\x1b[0m", "ok in 3 ms", "", "0f8fad5b-d9cb-469f-a165-70867728950e"},
		{"8", "✗ dead", "failed in 12 ms", "refused with HTTP 400, and a long story about it", "7c9e6679-7425-40de-944b-e07fc1f90ae7"},
	}
	for _, test := range []struct {
		width int
		shown string
	}{
		{200, "SEQ STATE RESULT NOTE UUID"},
		{100, "SEQ STATE RESULT NOTE"},
		{60, "SEQ STATE RESULT NOTE"}, // the note is cut
		{40, "SEQ STATE RESULT"},
		{24, "SEQ STATE"},
		{5, "SEQ STATE"}, // what tells rows apart stays
	} {
		t.Run(fmt.Sprint(test.width), func(t *testing.T) {
			var out bytes.Buffer
			(&Stream{w: &out, Width: test.width, Unicode: true, Colour: true}).Table("", columns, rows)
			lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
			if got := strings.Join(strings.Fields(lines[0]), " "); got != test.shown {
				t.Errorf("the columns are %q, want %q", got, test.shown)
			}
			for _, line := range lines {
				if n := text.StringWidthWithoutEscSequences(strings.TrimRight(line, " ")); n > test.width && test.width > 20 {
					t.Errorf("a line of %d characters on a terminal of %d:\n%s", n, test.width, line)
				}
			}
		})
	}
}

// A table that is too wide even so is cut where it can be, and not broken by the terminal.
func TestAColumnThatStaysIsCutAtLast(t *testing.T) {
	columns := []Column{{Title: "KEY", Shrink: true}, {Title: "TYPE", Drop: 1}, {Title: "LINE"}, {Title: "SKIPPED", Shrink: true}}
	rows := [][]string{{strings.Repeat("K", 90), "project", "1", ""}, {"K", "project", "2", "set again further down"}}
	// The widest one first: of the others there is more to lose.
	for width, last := range map[int]string{200: "2     set again further down", 80: "2     set again further down", 40: "2     set again further d…"} {
		var out bytes.Buffer
		(&Stream{w: &out, Width: width, Unicode: true}).Table("", columns, rows)
		for line := range strings.Lines(out.String()) {
			if n := text.StringWidthWithoutEscSequences(strings.TrimSpace(line)); n > width {
				t.Errorf("a line of %d characters on a terminal of %d:\n%s", n, width, line)
			}
		}
		if !strings.HasSuffix(strings.TrimSpace(out.String()), last) {
			t.Errorf("on %d columns it is\n%s\nwant the end to be %q", width, out.String(), last)
		}
	}
}

func TestATextIsBrokenAtBlanksAndNowhereElse(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want string // on 10 columns
	}{
		"nothing":                 {"", ""},
		"what fits":               {"0123456789", "0123456789"},
		"an indented word":        {"  0123456789ab", "  0123456789ab"},
		"two words":               {"01234 56789", "01234\n56789"},
		"two words that fit":      {"0123 56789", "0123 56789"},
		"a word that is too wide": {"a 0123456789ab b", "a\n0123456789ab\nb"},
		"lines":                   {"a\n0123456789ab\nb", "a\n0123456789ab\nb"},
		"colours":                 {"\x1b[1m012345678\x1b[0m a", "\x1b[1m012345678\x1b[0m\na"},
		"signs beyond ASCII":      {"○○○○ ✓✓✓✓✓", "○○○○ ✓✓✓✓✓"},
	} {
		if got := (&Stream{Interactive: true, Width: 12}).Wrap(test.text, 2); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestAPipeGetsTabsAndWholeTexts(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, test := range map[string]struct {
		columns []Column
		rows    [][]string
		want    string
	}{
		"nothing is cut or dropped":     {[]Column{{Title: "A"}, {Title: "B", Drop: 1}}, [][]string{{"1", long}}, "A\tB\n1\t" + long + "\n"},
		"an empty cell has its tab":     {[]Column{{Title: "A"}, {Title: "B"}}, [][]string{{"", `a "quote"`}, {"four    blanks", ""}}, "A\tB\n\t\"a \"\"quote\"\"\"\n\"four    blanks\"\t\n"},
		"a cell must not look like two": {nil, [][]string{{"a\tb", "c\r\nd"}, {"e", "f"}}, "a b\tc  d\ne\tf\n"},
	} {
		var out bytes.Buffer
		if err := (&Stream{w: &out}).TSV(test.columns, test.rows); err != nil || out.String() != test.want {
			t.Errorf("%s: a pipe gets %q (%v), want %q", name, out.String(), err, test.want)
		}
	}
}
