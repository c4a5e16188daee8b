package secrets_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

// readPairs reads arguments as `secret set` does. The answer to a question is "answer for KEY".
func readPairs(args []string, stdin io.Reader, terminal bool) ([]secrets.Pair, error) {
	inputs, err := secrets.ParsePairs(args, terminal)
	if err != nil {
		return nil, err
	}
	plan, err := secrets.Resolve(inputs, func(key string) (string, error) {
		if stdin == nil {
			return "answer for " + key, nil
		}
		return secrets.ReadValue(stdin)
	})
	return plan.Pairs(), err
}

func TestAPairArrivesAsItIsWritten(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	tests := []struct{ name, arg, stdin, key, value string }{
		{"the first = splits", "KEY=a=b==", "", "KEY", "a=b=="},
		{"the key is trimmed", "  KEY\t=value", "", "KEY", "value"},
		{"the value keeps its blanks", "KEY=  a b  ", "", "KEY", "  a b  "},
		{"nothing in a value is special", `KEY="$HOME" \n # x`, "", "KEY", `"$HOME" \n # x`},
		{"a value may have line breaks", "KEY=a\nb\n", "", "KEY", "a\nb\n"},
		{"a value may start with a dash", "KEY=-x", "", "KEY", "-x"},
		{"a dash with a blank is a value", "KEY= -", "", "KEY", " -"},
		{"a key may have any visible characters", "a/b.c-ü%=v", "", "a/b.c-ü%", "v"},
		{"a value may be 1 MB", "KEY=" + large, "", "KEY", large},
		{"what echo writes", "KEY=-", "value\n", "KEY", "value"},
		{"what a Windows editor writes", "KEY=-", "value\r\n", "KEY", "value"},
		{"what printf writes", "KEY=-", "value", "KEY", "value"},
		{"only one line break is removed", "KEY=-", "value\n\n", "KEY", "value\n"},
		{"a byte order mark is dropped", "KEY=-", "\ufeffvalue\r\n", "KEY", "value"},
		{"but only the first", "KEY=-", "\ufeff\ufeffvalue", "KEY", "\ufeffvalue"},
		{"a carriage return alone is kept", "KEY=-", "value\r", "KEY", "value\r"},
		{"blanks and inner line breaks are kept", "KEY=-", "  a\n b \n", "KEY", "  a\n b "},
		{"1 MB between a mark and a line break", "KEY=-", "\ufeff" + large + "\r\n", "KEY", large},
	}
	for _, tt := range tests {
		got, err := readPairs([]string{"A=1", tt.arg, "B=2"}, iotest.OneByteReader(strings.NewReader(tt.stdin)), true)
		if want := pairsOf("A", "1", tt.key, tt.value, "B", "2"); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: it gives %.100q and %v, want %.100q", tt.name, got, err, want)
		}
	}
	if got, err := readPairs([]string{" KEY "}, nil, true); err != nil || !slices.Equal(got, pairsOf("KEY", "answer for KEY")) {
		t.Errorf("a lone key gives %q and %v, want the answer", got, err)
	}
}

func TestTheFirstWrongArgumentIsNamedAndNoValueIsShown(t *testing.T) {
	args := func(args ...string) []string { return args }
	tests := []struct {
		name  string
		args  []string
		stdin string
		named string // the argument in the message
		want  *secrets.Problem
	}{
		{"no = beside other arguments", args("A=1", "sentinel"), "", "argument 2", secrets.NoValue},
		{"key and value as two words", args("KEY", "sentinel"), "", "argument 1", secrets.NoValue},
		{"a lone word with a blank in it", args("sentinel value"), "", "argument 1", secrets.NoValue},
		{"an empty argument", args(""), "", "argument 1", secrets.NoValue},
		{"a lone key with a byte order mark", args("\ufeffsentinel"), "", "argument 1", secrets.NoValue},
		{"a lone key without a terminal", args("sentinel"), "", "argument 1", secrets.NoTerminal},
		{"an empty key", args("A=1", "B=2", "=sentinel"), "", "argument 3", secrets.EmptyKey},
		{"an empty value", args("A=1", "KEY="), "", "argument 2 ('KEY')", secrets.EmptyValue},
		{"a value of blanks", args("KEY= \t\n"), "", "argument 1 ('KEY')", secrets.EmptyValue},
		{"a no-break space in the key", args("MY\u00a0KEY=sentinel"), "", "argument 1 ('MY KEY')", secrets.BlankInKey},
		{"an escape character in the key", args("K\x1b[31mEY=sentinel"), "", "argument 1 ('KEY')", secrets.BlankInKey},
		{"a byte order mark in the key", args("\ufeffKEY=sentinel"), "", "argument 1 ('KEY')", secrets.InvisibleInKey},
		{"a blank Braille cell in the key", args("KEY\u2800=sentinel"), "", "argument 1 ('KEY\u2800')", secrets.InvisibleInKey},
		{"a filler in the key", args("KEY\u3164=sentinel"), "", "argument 1 ('KEY\u3164')", secrets.InvisibleInKey},
		{"a key twice", args("KEY=1", "B=2", " KEY =sentinel"), "", "argument 3 ('KEY')", secrets.DuplicateKey},
		{"a key given and from standard input", args("KEY=1", "KEY=-"), "", "argument 2 ('KEY')", secrets.DuplicateKey},
		{"two values from standard input", args("A=-", "B=-"), "", "argument 2 ('B')", secrets.SecondStdinKey},
		{"a value that is not UTF-8", args("KEY=sentinel\xff"), "", "argument 1 ('KEY')", secrets.NotText},
		{"a key that is not UTF-8", args("K\xffY=sentinel"), "", "argument 1 ('K\ufffdY')", secrets.NotText},
		{"a value over 1 MB", args("KEY=" + strings.Repeat("x", 1<<20+1)), "", "argument 1 ('KEY')", secrets.ValueTooLarge},
		{"the first of two", args("A=", "=sentinel"), "", "argument 1 ('A')", secrets.EmptyValue},
		{"nothing on standard input", args("KEY=-"), "", "argument 1 ('KEY')", secrets.EmptyValue},
		{"a byte order mark alone", args("KEY=-"), "\ufeff\n", "argument 1 ('KEY')", secrets.EmptyValue},
		{"UTF-16 without its mark", args("KEY=-"), "\x00s\x00e\x00n\x00t\x00i\x00n\x00e\x00l", "argument 1 ('KEY')", secrets.ZeroByte},
		{"UTF-16 with its mark", args("KEY=-"), "\xff\xfes\x00e\x00n\x00t\x00", "argument 1 ('KEY')", secrets.NotText},
		{"too much on standard input", args("KEY=-"), strings.Repeat("x", 1<<20+1), "argument 1 ('KEY')", secrets.ValueTooLarge},
	}
	for _, tt := range tests {
		pairs, err := readPairs(tt.args, strings.NewReader(tt.stdin), tt.want != secrets.NoTerminal)
		if !errors.Is(err, tt.want) || !strings.HasPrefix(err.Error(), tt.named+": ") || pairs != nil {
			t.Errorf("%s gives %v and %v, want %q of %s and nothing to send", tt.name, pairs, err, tt.want, tt.named)
		} else if strings.Contains(err.Error(), "sentinel") || secrets.Printable(err.Error()) != err.Error() {
			t.Errorf("the message of %s shows the value, or is not fit for a terminal: %q", tt.name, err)
		}
	}
}

func TestAValueThatCannotBeReadIsNoValue(t *testing.T) {
	broken := errors.New("the pipe broke")
	if pairs, err := readPairs([]string{"KEY=-"}, iotest.ErrReader(broken), true); !errors.Is(err, broken) || pairs != nil {
		t.Errorf("a read error gives %v and %v, want the error alone", pairs, err)
	}
	_, err := readPairs([]string{"sentinel"}, strings.NewReader("  "), true)
	if !errors.Is(err, secrets.EmptyValue) || strings.Contains(err.Error(), "sentinel") {
		t.Errorf("an empty answer gives %v, want wrong usage that does not name what may be a value", err)
	}
}
