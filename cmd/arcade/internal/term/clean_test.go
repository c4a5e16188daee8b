package term

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func TestNothingThatATerminalObeysPassesTheWriter(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"plain text":            {"Grüße, 世界 ○ ✓\tend\n", "Grüße, 世界 ○ ✓\tend\n"},
		"a foreign colour":      {"a\x1b[35mb\x1b[7mc", "a[35mb[7mc"},
		"a movement":            {"a\x1b[2J\x1b[Hb", "a[2J[Hb"},
		"a title":               {"a\x1b]0;title\x07b", "a]0;titleb"},
		"a link":                {"\x1b]8;;http://x\x1b\\a", "]8;;http://x\\a"},
		"a device control":      {"a\x1bPq text\x1b\\b", "aPq text\\b"},
		"the C1 forms":          {"a\u009b31mb\u009d0;t\u009cc", "a31mb0;tc"},
		"a bare escape":         {"a\x1b", "a"},
		"an unfinished command": {"a\x1b[31", "a[31"},
		"a bell and a delete":   {"a\x07\x08\x7fb", "ab"},
		"directions of writing": {"a\u202eb\u2066c\u200fd", "abcd"},
		"no UTF-8":              {"a\xffb", "a\uFFFDb"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if n, err := (&Stream{w: &out, Colour: true}).Write([]byte(test.text)); n != len(test.text) || err != nil {
				t.Errorf("wrote %d bytes (%v), want all %d", n, err, len(test.text))
			}
			if out.String() != test.want {
				t.Errorf("%q came out, want %q", out.String(), test.want)
			}
		})
	}
}

func TestOurOwnColoursPassWhereTheyAreWanted(t *testing.T) {
	for _, wanted := range []bool{true, false} {
		var out bytes.Buffer
		s := &Stream{w: &out, Colour: wanted}
		s.Write([]byte(s.Paint(Red, "no") + " \x1b[31mforged\x1b[0m\x1b[5m"))
		if coloured := strings.Contains(out.String(), "\x1b[31m"); coloured != wanted || strings.Contains(out.String(), "\x1b[5m") {
			t.Errorf("colours wanted: %v; what came out is %q", wanted, out.String())
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
