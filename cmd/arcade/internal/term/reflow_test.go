package term

import "testing"

func TestATextIsBrokenAtBlanksAndKeepsItsShape(t *testing.T) {
	tests := map[string]struct {
		width      int
		text, want string
	}{
		"a paragraph is filled":              {20, "one two three\nfour five six seven\n\nnext", "one two three four\nfive six seven\n\nnext"},
		"an example keeps its line":          {40, "Examples:\n  arcade login\n  arcade whoami\n", "Examples:\n  arcade login\n  arcade whoami\n"},
		"a long example goes on below":       {20, "  arcade usage inspect --json", "  arcade usage\n    inspect --json"},
		"a second column stays one":          {34, "  login   Log in to Arcade in the browser", "  login   Log in to Arcade in the\n          browser"},
		"a list item is filled":              {18, "  - a key is a name\n    and no more\n  - two", "  - a key is a\n    name and no\n    more\n  - two"},
		"a column too narrow is put below":   {30, "      --a-long-option string   where it is", "      --a-long-option string\n          where it is"},
		"a word that is wider stays whole":   {10, "see https://example.com/long now", "see\nhttps://example.com/long\nnow"},
		"the line of a tab is indented":      {40, "run:\n\n\tarcade completion", "run:\n\n  arcade completion"},
		"a heading and what is below it":     {40, "Flags:\n  -h, --help   help for arcade", "Flags:\n  -h, --help   help for arcade"},
		"a column and the line that follows": {40, "  KEY     asks\n  KEY=-   reads", "  KEY     asks\n  KEY=-   reads"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Reflow(test.text, test.width); got != test.want {
				t.Errorf("at %d columns it is\n%q, want\n%q", test.width, got, test.want)
			}
		})
	}
}
