package term

import (
	"bytes"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
)

// tableOn returns the lines of a table on a terminal, none of which the terminal breaks.
func tableOn(t *testing.T, width int, columns []Column, rows [][]string) []string {
	t.Helper()
	var out bytes.Buffer
	(&Stream{w: &out, Width: width, Unicode: true, Colour: true}).Table("", columns, rows)
	lines := strings.Split(strings.TrimRight(out.String(), " \n"), "\n")
	for _, line := range lines {
		if n := text.StringWidthWithoutEscSequences(strings.TrimRight(line, " ")); n > width {
			t.Errorf("a line of %d characters on a terminal of %d:\n%s", n, width, line)
		}
	}
	return lines
}

func TestATableGivesUpColumnsToFitTheTerminal(t *testing.T) {
	columns := []Column{
		{Title: "SEQ", Right: true}, {Title: "STATE"}, {Title: "RESULT", Drop: 1}, {Title: "NOTE", Drop: 2, Shrink: true},
		{Title: "UUID", Drop: 3},
	}
	rows := [][]string{
		{"7", "\x1b[32m✓ delivered\x1b[0m", "ok in 3 ms", "", "0f8fad5b-d9cb-469f-a165-70867728950e"},
		{"8", "✗ dead", "failed in 12 ms", "refused with HTTP 400, and a long story about it", "7c9e6679-7425-40de-944b-e07fc1f90ae7"},
	}
	for width, want := range map[int]string{
		200: "SEQ STATE RESULT NOTE UUID",
		100: "SEQ STATE RESULT NOTE",
		60:  "SEQ STATE RESULT NOTE", // the note is cut
		40:  "SEQ STATE RESULT",
		24:  "SEQ STATE", // what tells rows apart stays
	} {
		if got := strings.Join(strings.Fields(tableOn(t, width, columns, rows)[0]), " "); got != want {
			t.Errorf("on %d columns the titles are %q, want %q", width, got, want)
		}
	}
}

// The widest one first: of the others there is more to lose.
func TestAColumnThatStaysIsCutAtLast(t *testing.T) {
	columns := []Column{{Title: "KEY", Shrink: true}, {Title: "TYPE", Drop: 1}, {Title: "LINE"}, {Title: "SKIPPED", Shrink: true}}
	rows := [][]string{{strings.Repeat("K", 90), "project", "1", ""}, {"K", "project", "2", "set again further down"}}
	for width, want := range map[int]string{
		200: "2     set again further down",
		80:  "2     set again further down",
		40:  "2     set again further d…",
	} {
		if lines := tableOn(t, width, columns, rows); !strings.HasSuffix(lines[len(lines)-1], want) {
			t.Errorf("on %d columns it is\n%s\nwant the end to be %q", width, strings.Join(lines, "\n"), want)
		}
	}
}

// Where it is broken is tested with Reflow.
func TestAMessageIsWrappedAtBlanksByWhatIsSeenOfIt(t *testing.T) {
	for text, want := range map[string]string{ // on 10 columns
		"":                          "",
		"  0123456789ab":            "  0123456789ab", // an indented word that is too wide
		"01234 56789":               "01234\n56789",
		"0123 56789\nb":             "0123 56789\nb",
		"\x1b[1m012345678\x1b[0m a": "\x1b[1m012345678\x1b[0m\na",
		"○○○○ ✓✓✓✓✓":                "○○○○ ✓✓✓✓✓",
	} {
		if got := (&Stream{Interactive: true, Width: 12}).Wrap(text, 2); got != want {
			t.Errorf("%q, want %q", got, want)
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
		"nothing is cut or dropped": {[]Column{{Title: "A"}, {Title: "B", Drop: 1}}, [][]string{{"1", long}}, "A\tB\n1\t" + long + "\n"},
		"an empty cell has its tab": {
			[]Column{{Title: "A"}, {Title: "B"}}, [][]string{{"", `a "quote"`}, {"four    blanks", ""}},
			"A\tB\n\t\"a \"\"quote\"\"\"\n\"four    blanks\"\t\n",
		},
		"a cell must not look like two": {nil, [][]string{{"a\tb", "c\r\nd"}, {"e", "f"}}, "a b\tc  d\ne\tf\n"},
	} {
		var out bytes.Buffer
		if err := (&Stream{w: &out}).TSV(test.columns, test.rows); err != nil || out.String() != test.want {
			t.Errorf("%s: a pipe gets %q (%v), want %q", name, out.String(), err, test.want)
		}
	}
}
