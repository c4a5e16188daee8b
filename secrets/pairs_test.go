package secrets_test

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

func TestParsePairsReadsKeyAndValue(t *testing.T) {
	tests := []struct {
		name, arg, key, value string
	}{
		{"a plain pair", "KEY=value", "KEY", "value"},
		{"the first = splits", "KEY=a=b==", "KEY", "a=b=="},
		{"the key is trimmed", "  KEY\t=value", "KEY", "value"},
		{"the value keeps its blanks", "KEY=  a b  ", "KEY", "  a b  "},
		{"quotes that the shell left are part of the value", `KEY="a"`, "KEY", `"a"`},
		{"nothing in a value is special", `KEY=$HOME \n # x`, "KEY", `$HOME \n # x`},
		{"a value may have line breaks", "KEY=a\nb\n", "KEY", "a\nb\n"},
		{"a value may start with a dash", "KEY=-x", "KEY", "-x"},
		{"a dash with a blank is a value", "KEY= -", "KEY", " -"},
		{"a key may have any visible characters", "a/b.c-ü%=v", "a/b.c-ü%", "v"},
		{"a value may be 1 MB", "KEY=" + strings.Repeat("x", 1<<20), "KEY", strings.Repeat("x", 1<<20)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := secrets.ParsePairs([]string{tt.arg}, true)
			if err != nil {
				t.Fatalf("ParsePairs refused it: %v", err)
			}
			want := []secrets.Input{{Pair: secrets.Pair{Key: tt.key, Value: tt.value}, Position: 1, Source: secrets.Argument}}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("ParsePairs = %+v, want %+v", got, want)
			}
		})
	}
}

func TestParsePairsNamesTheFirstWrongArgument(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want secrets.PairError
	}{
		{"no = beside other arguments", []string{"A=1", "sentinel"}, secrets.PairError{Position: 2, Problem: secrets.NoValue}},
		{"key and value as two words", []string{"KEY", "sentinel"}, secrets.PairError{Position: 1, Problem: secrets.NoValue}},
		{"an unquoted value with a blank", []string{"KEY=my", "sentinel"}, secrets.PairError{Position: 2, Problem: secrets.NoValue}},
		{"a lone word with a blank in it", []string{"sentinel value"}, secrets.PairError{Position: 1, Problem: secrets.NoValue}},
		{"an empty argument", []string{""}, secrets.PairError{Position: 1, Problem: secrets.NoValue}},
		{"an empty key", []string{"A=1", "B=2", "=sentinel"}, secrets.PairError{Position: 3, Problem: secrets.EmptyKey}},
		{"a key of blanks", []string{" \t=sentinel"}, secrets.PairError{Position: 1, Problem: secrets.EmptyKey}},
		{"an empty value", []string{"A=1", "KEY="}, secrets.PairError{Position: 2, Key: "KEY", Problem: secrets.EmptyValue}},
		{"a value of blanks", []string{"KEY= \t\n"}, secrets.PairError{Position: 1, Key: "KEY", Problem: secrets.EmptyValue}},
		{"a blank in the key", []string{"MY KEY=sentinel"}, secrets.PairError{Position: 1, Key: "MY KEY", Problem: secrets.BlankInKey}},
		{"a no-break space in the key", []string{"MY\u00a0KEY=sentinel"}, secrets.PairError{Position: 1, Key: "MY\u00a0KEY", Problem: secrets.BlankInKey}},
		{"an escape character in the key", []string{"K\x1b[31mEY=sentinel"}, secrets.PairError{Position: 1, Key: "K\x1b[31mEY", Problem: secrets.BlankInKey}},
		{"a byte order mark in the key", []string{"\ufeffKEY=sentinel"}, secrets.PairError{Position: 1, Key: "\ufeffKEY", Problem: secrets.InvisibleInKey}},
		{"a zero-width space in the key", []string{"KE\u200bY=sentinel"}, secrets.PairError{Position: 1, Key: "KE\u200bY", Problem: secrets.InvisibleInKey}},
		{"a change of direction in the key", []string{"KEY\u202e=sentinel"}, secrets.PairError{Position: 1, Key: "KEY\u202e", Problem: secrets.InvisibleInKey}},
		{"a blank Braille cell in the key", []string{"KEY\u2800=sentinel"}, secrets.PairError{Position: 1, Key: "KEY\u2800", Problem: secrets.InvisibleInKey}},
		{"a filler in the key", []string{"KEY\u3164=sentinel"}, secrets.PairError{Position: 1, Key: "KEY\u3164", Problem: secrets.InvisibleInKey}},
		{"a lone key with a byte order mark", []string{"\ufeffsentinel"}, secrets.PairError{Position: 1, Problem: secrets.NoValue}},
		{"a key twice", []string{"KEY=1", "B=2", " KEY =sentinel"}, secrets.PairError{Position: 3, Key: "KEY", Problem: secrets.DuplicateKey}},
		{"a key given and from standard input", []string{"KEY=1", "KEY=-"}, secrets.PairError{Position: 2, Key: "KEY", Problem: secrets.DuplicateKey}},
		{"two values from standard input", []string{"A=-", "B=-"}, secrets.PairError{Position: 2, Key: "B", Problem: secrets.SecondStdinKey}},
		{"a value that is not UTF-8", []string{"KEY=sentinel\xff"}, secrets.PairError{Position: 1, Key: "KEY", Problem: secrets.NotText}},
		{"a key that is not UTF-8", []string{"K\xffY=sentinel"}, secrets.PairError{Position: 1, Key: "K\xffY", Problem: secrets.NotText}},
		{"a value over 1 MB", []string{"KEY=" + strings.Repeat("x", 1<<20+1)}, secrets.PairError{Position: 1, Key: "KEY", Problem: secrets.ValueTooLarge}},
		{"the first of two", []string{"A=", "=sentinel"}, secrets.PairError{Position: 1, Key: "A", Problem: secrets.EmptyValue}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inputs, err := secrets.ParsePairs(tt.args, true)
			var got *secrets.PairError
			if !errors.As(err, &got) {
				t.Fatalf("ParsePairs returned %v, want a *PairError", err)
			}
			if *got != tt.want {
				t.Errorf("the error is %+v, want %+v", *got, tt.want)
			}
			if len(inputs) != 0 {
				t.Errorf("%d inputs came with the error: nothing may be sent when anything is wrong", len(inputs))
			}
			if strings.Contains(err.Error(), "sentinel") {
				t.Errorf("the message shows the value: %q", err)
			}
			if secrets.Printable(err.Error()) != err.Error() {
				t.Errorf("the message is not fit for a terminal: %q", err)
			}
		})
	}
}

func TestResolveReadsStandardInput(t *testing.T) {
	tests := []struct{ name, stdin, want string }{
		{"what echo writes", "value\n", "value"},
		{"what a Windows editor writes", "value\r\n", "value"},
		{"what printf writes", "value", "value"},
		{"only one line break is removed", "value\n\n", "value\n"},
		{"a byte order mark is dropped", "\ufeffvalue\r\n", "value"},
		{"but only the first", "\ufeff\ufeffvalue", "\ufeffvalue"},
		{"a carriage return alone is kept", "value\r", "value\r"},
		{"blanks and inner line breaks are kept", "  a\n b \n", "  a\n b "},
		{"1 MB between a mark and a line break", "\ufeff" + strings.Repeat("x", 1<<20) + "\r\n", strings.Repeat("x", 1<<20)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inputs, err := secrets.ParsePairs([]string{"A=1", "KEY=-", "B=2"}, true)
			if err != nil {
				t.Fatal(err)
			}
			got, err := secrets.Resolve(inputs, iotest.OneByteReader(strings.NewReader(tt.stdin)), nil)
			if err != nil {
				t.Fatalf("Resolve failed: %v", err)
			}
			want := []secrets.Pair{{Key: "A", Value: "1"}, {Key: "KEY", Value: tt.want}, {Key: "B", Value: "2"}}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("Resolve gave %.100q, want %.100q", got, want)
			}
		})
	}
}

func TestResolveRefusesUnusableStandardInput(t *testing.T) {
	broken := errors.New("the pipe broke")
	tests := []struct {
		name  string
		stdin io.Reader
		want  error
	}{
		{"nothing", strings.NewReader(""), &secrets.PairError{Position: 1, Key: "KEY", Problem: secrets.EmptyValue}},
		{"a line break", strings.NewReader("\n"), &secrets.PairError{Position: 1, Key: "KEY", Problem: secrets.EmptyValue}},
		{"blanks", strings.NewReader(" \t \n"), &secrets.PairError{Position: 1, Key: "KEY", Problem: secrets.EmptyValue}},
		{"bytes that JSON cannot carry", strings.NewReader("sentinel\xff"), &secrets.PairError{Position: 1, Key: "KEY", Problem: secrets.NotText}},
		{"a byte order mark alone", strings.NewReader("\ufeff\n"), &secrets.PairError{Position: 1, Key: "KEY", Problem: secrets.EmptyValue}},
		{"UTF-16 without its mark", strings.NewReader("s\x00e\x00n\x00t\x00i\x00n\x00e\x00l\x00"), &secrets.PairError{Position: 1, Key: "KEY", Problem: secrets.ZeroByte}},
		{"UTF-16 with its mark", strings.NewReader("\xff\xfes\x00e\x00n\x00t\x00"), &secrets.PairError{Position: 1, Key: "KEY", Problem: secrets.NotText}},
		{"too much", strings.NewReader(strings.Repeat("x", 1<<20+1)), &secrets.PairError{Position: 1, Key: "KEY", Problem: secrets.ValueTooLarge}},
		{"a read error", iotest.ErrReader(broken), broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inputs, err := secrets.ParsePairs([]string{"KEY=-"}, true)
			if err != nil {
				t.Fatal(err)
			}
			pairs, err := secrets.Resolve(inputs, tt.stdin, nil)
			if !errors.Is(err, tt.want) && (err == nil || err.Error() != tt.want.Error()) {
				t.Errorf("Resolve returned %v, want %v", err, tt.want)
			}
			if pairs != nil || strings.Contains(err.Error(), "sentinel") {
				t.Errorf("Resolve gave %v and %q: nothing may be sent or shown", pairs, err)
			}
		})
	}
}

func TestResolveAsksForALoneKey(t *testing.T) {
	inputs, err := secrets.ParsePairs([]string{" KEY "}, true)
	if err != nil {
		t.Fatal(err)
	}
	answers := func(answer string) func(string) (string, error) {
		return func(key string) (string, error) { return strings.ReplaceAll(answer, "it", key), nil }
	}
	if pairs, err := secrets.Resolve(inputs, nil, answers(" it ")); err != nil || !reflect.DeepEqual(pairs, []secrets.Pair{{Key: "KEY", Value: " KEY "}}) {
		t.Errorf("Resolve gave %q and %v, want the answer as it is", pairs, err)
	}
	var wrong *secrets.PairError
	if _, err := secrets.Resolve(inputs, nil, answers("  ")); !errors.As(err, &wrong) || *wrong != (secrets.PairError{Position: 1, Problem: secrets.EmptyValue}) {
		t.Errorf("an empty answer gave %v, want wrong usage that does not name what may be a value", err)
	}
}

func TestALoneKeyWithoutATerminalIsToldToUseADash(t *testing.T) {
	_, err := secrets.ParsePairs([]string{"sentinel"}, false)
	var wrong *secrets.PairError
	if !errors.As(err, &wrong) || wrong.Problem != secrets.NoTerminal || !strings.Contains(wrong.Problem.Do, "KEY=-") {
		t.Errorf("ParsePairs returned %v, want wrong usage that names KEY=-", err)
	}
	if strings.Contains(err.Error(), "sentinel") {
		t.Errorf("the message shows what may be a value: %q", err)
	}
}
