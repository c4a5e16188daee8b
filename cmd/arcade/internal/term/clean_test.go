package term

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func TestOurColoursPassTheWriterWhereTheyAreWantedAndNothingElseThatATerminalObeys(t *testing.T) {
	const plain, colours = false, true
	for name, test := range map[string]struct {
		terminal   bool
		text, want string
	}{
		"plain text":              {colours, "Grüße, 世界 ○ ✓\tend\n", "Grüße, 世界 ○ ✓\tend\n"},
		"our colour":              {colours, (&Stream{Colour: true}).Paint(Red, "no"), "\x1b[31mno\x1b[0m"},
		"our colour, not wanted":  {plain, (&Stream{}).Paint(Red, "no"), "no"},
		"our colour from others":  {plain, "\x1b[31mno\x1b[0m", "[31mno[0m"},
		"a foreign colour":        {colours, "a\x1b[35mb\x1b[7mc", "a[35mb[7mc"},
		"a movement":              {colours, "a\x1b[2J\x1b[Hb", "a[2J[Hb"},
		"a title":                 {colours, "a\x1b]0;title\x07b", "a]0;titleb"},
		"a link":                  {colours, "\x1b]8;;http://x\x1b\\a", "]8;;http://x\\a"},
		"the C1 forms":            {colours, "a\u009b31mb\u009d0;t\u009cc", "a31mb0;tc"},
		"an unfinished command":   {colours, "a\x1b[31", "a[31"},
		"a deletion":              {colours, "a\x08\x7fb", "ab"},
		"directions of writing":   {colours, "a\u202eb\u2066c\u200fd", "abcd"},
		"what is no UTF-8":        {colours, "a\xffb", "a\uFFFDb"},
		"a bare escape at an end": {colours, "a\x1b", "a"},
	} {
		var out bytes.Buffer
		if n, err := (&Stream{w: &out, Colour: test.terminal}).Write([]byte(test.text)); n != len(test.text) || err != nil {
			t.Errorf("%s: wrote %d bytes (%v), want all %d", name, n, err, len(test.text))
		}
		if out.String() != test.want {
			t.Errorf("%s: %q came out, want %q", name, out.String(), test.want)
		}
	}
}

func TestAnyValueIsTheSameAsJSONAndNoTerminalObeysIt(t *testing.T) {
	const value = "a\x1b[31m\u202e\u009b\U000e0001\n\"<>&é"
	var out bytes.Buffer
	if err := (&Stream{w: &out, Colour: true}).JSON(value); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(strings.TrimSuffix(out.String(), "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%q has something in it that a terminal may obey", out.String())
	}
	var got string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != value {
		t.Errorf("it reads as %q (%v), want %q", got, err, value)
	}
}

func FuzzNothingHiddenPassesTheWriter(f *testing.F) {
	for _, seed := range []string{"", "a\x1b[31mb", "\x1b\x1b[31m[31m", "\u009b\u009b31m", "\xff\x1b]0;\xff\x07"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		(&Stream{w: &out}).Write([]byte(text))
		if strings.ContainsFunc(out.String(), isHidden) {
			t.Errorf("%q became %q", text, out.String())
		}
	})
}
