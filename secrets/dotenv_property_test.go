package secrets_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

// quoting writes a value into a .env file by the rules that ReadEnvFile documents, without
// any of its code. ok is false when these quotes cannot express the value.
type quoting struct {
	name   string
	encode func(r *rand.Rand, value string) (text string, ok bool)
}

var quotings = []quoting{
	{"without quotes", func(_ *rand.Rand, v string) (string, bool) {
		ok := v == strings.Trim(v, " \t") && !strings.ContainsAny(v, "\n\r") && !strings.Contains(v, " #") &&
			!strings.HasPrefix(v, `"`) && !strings.HasPrefix(v, `'`)
		return v, ok
	}},
	{"single quotes", func(_ *rand.Rand, v string) (string, bool) {
		return "'" + v + "'", !strings.ContainsAny(v, "'\r")
	}},
	{"double quotes", func(r *rand.Rand, v string) (string, bool) {
		var text strings.Builder
		for _, c := range v {
			switch {
			case c == '"' || c == '\\':
				text.WriteString(`\` + string(c))
			case c == '\r':
				text.WriteString(`\r`)
			case c == '\n' && r.IntN(2) == 0:
				text.WriteString(`\n`)
			case strings.ContainsRune("$`!", c) && r.IntN(2) == 0:
				text.WriteString(`\` + string(c))
			default:
				text.WriteRune(c)
			}
		}
		return `"` + text.String() + `"`, true
	}},
}

// TestEnvFileCarriesAnyValue writes files of random values in all quotings, between lines
// that are no entries, and expects every value back, in order and unchanged.
func TestEnvFileCarriesAnyValue(t *testing.T) {
	t.Setenv("A", "expanded")
	t.Setenv("HOME", "expanded")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	expressed := make(map[string]int)
	for range 3000 {
		text, want, skipped := randomFile(r, expressed)
		got := secrets.ParseEnv(text)
		if !reflect.DeepEqual(got.Pairs, want) {
			t.Fatalf("seed %d: the file\n%q\ngives\n%q\nwant\n%q", seed, text, got.Pairs, want)
		}
		if !reflect.DeepEqual(got.Skipped, skipped) {
			t.Fatalf("seed %d: of the file\n%q\nlines %v were skipped, want %v", seed, text, got.Skipped, skipped)
		}
	}
	for _, q := range quotings {
		if expressed[q.name] < 1000 {
			t.Errorf("only %d values were written %s: the test shows too little", expressed[q.name], q.name)
		}
	}
}

func randomFile(r *rand.Rand, expressed map[string]int) (text string, want []secrets.Pair, skipped []int) {
	var lines []string
	for len(want) < 6 {
		q := quotings[r.IntN(len(quotings))]
		value := randomValue(r)
		encoded, ok := q.encode(r, value)
		if !ok || strings.TrimSpace(value) == "" {
			continue
		}
		expressed[q.name]++
		if r.IntN(3) == 0 {
			lines = append(lines, pick(r, "", " \t", "# it's \"a $HOME comment", "#K=v"))
		}
		if r.IntN(4) == 0 {
			lines = append(lines, pick(r, "no equals", "=no key", "EMPTY=", "A KEY=v", "EMPTY=''", "EMPTY= # it's"))
			skipped = append(skipped, strings.Count(strings.Join(lines, "\n"), "\n")+1)
		}
		key := fmt.Sprintf("KEY_%d", len(want))
		entry := pick(r, "", "export ", "\texport\t", "  ") + key + pick(r, "=", " =", "=") + encoded + pick(r, "", " ", " # it's \"one\" $HOME", "\t# x")
		if q.name != "without quotes" {
			entry = strings.Replace(entry, "=", pick(r, "=", "= ", "=\t"), 1)
		}
		lines = append(lines, entry)
		want = append(want, secrets.Pair{Key: key, Value: value})
	}
	text = pick(r, "", "\uFEFF") + strings.Join(lines, "\n") + pick(r, "", "\n")
	if r.IntN(3) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text, want, skipped
}

// randomValue is made of what makes trouble in .env files, letters, and other scripts.
func randomValue(r *rand.Rand) string {
	trouble := []string{`\`, `\\`, `#`, ` #`, `"`, `'`, `$`, `$A`, `${HOME}`, `$(A)`, `\$A`, "`", `=`, `:`, ` `, `{`, `}`, `!`, `\n`, `\"`, `\'`, `%`, `;`, ","}
	var value strings.Builder
	for range 1 + r.IntN(12) {
		switch r.IntN(6) {
		case 0, 1:
			value.WriteString(trouble[r.IntN(len(trouble))])
		case 2, 3:
			value.WriteByte(byte('!' + r.IntN('~'-'!'+1)))
		case 4:
			value.WriteRune(randomPrintable(r))
		case 5:
			value.WriteString(pick(r, "n", "A", "\n", "é", "e\u0301", "漢", "🔑", "\r\n", "ß"))
		}
	}
	return value.String()
}

func randomPrintable(r *rand.Rand) rune {
	for {
		if c := rune(r.IntN(unicode.MaxRune + 1)); unicode.IsPrint(c) {
			return c
		}
	}
}

func pick(r *rand.Rand, choices ...string) string { return choices[r.IntN(len(choices))] }

func FuzzDotenv(f *testing.F) {
	for _, seed := range []string{
		"", "A=1", "\uFEFFA=1\r\nB=2\rC=3", "export A = 'x' # y", "A=\"x\ny\"\nB=\"z", "A='x\ny' z\nB=it's", "A=\"\\", "A=\"\\\"", "A=\"a\\n\\r\\$\\\\\"",
		"=x\nno\nA B=c\nA=", "A={\"b\": \"c # d\"} # e", "A=\"a\"b\"", "A=$A${A}$(A)\\$A", "A='\\'", "#\n # \n\t#", "A=1\nA=2", "A==\n==", "A=\u00a0", "A=\"'\n'\"",
	} {
		f.Add(seed)
	}
	f.Setenv("A", "expanded")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsRune(text, 0) || strings.ToValidUTF8(text, "") != text || strings.HasPrefix(text, "\uFEFF\uFEFF") {
			t.Skip("ReadEnvFile lets no such text through")
		}
		file := secrets.ParseEnv(text)
		lines := strings.Split(normalised(text), "\n")
		checkPairs(t, text, file.Pairs)
		last := 0
		for _, n := range file.Skipped {
			if n <= last || n > len(lines) {
				t.Fatalf("%q: lines %v were skipped of %d", text, file.Skipped, len(lines))
			}
			if line := strings.TrimSpace(lines[n-1]); line == "" || line[0] == '#' {
				t.Errorf("%q: line %d is called skipped, but it is blank or a comment", text, n)
			}
			last = n
		}
		// An entry in front changes nothing but the line numbers.
		shifted := secrets.ParseEnv("\uFEFF\u00fcnique=$A\n" + strings.TrimPrefix(text, "\uFEFF"))
		if len(shifted.Pairs) != len(file.Pairs)+1 || shifted.Pairs[0].Value != "$A" && !strings.Contains(text, "\u00fcnique") {
			t.Errorf("%q: with an entry in front it gives %q instead of %q", text, shifted.Pairs, file.Pairs)
		}
		if len(shifted.Skipped) != len(file.Skipped) {
			t.Errorf("%q: with an entry in front lines %v were skipped, without %v", text, shifted.Skipped, file.Skipped)
		}
	})
}

func checkPairs(t *testing.T, text string, pairs []secrets.Pair) {
	seen := make(map[string]bool)
	for _, pair := range pairs {
		if seen[pair.Key] || pair.Key == "" || strings.ContainsFunc(pair.Key, unicode.IsSpace) {
			t.Errorf("%q gives the key %q twice, or with blanks", text, pair.Key)
		}
		seen[pair.Key] = true
		if strings.TrimSpace(pair.Value) == "" {
			t.Errorf("%q gives %s an empty value", text, pair.Key)
		}
		// Only a backslash in double quotes may make a value differ from what is written.
		if !strings.Contains(text, `\`) && !strings.Contains(normalised(text), pair.Value) {
			t.Errorf("%q gives the value %q, which is not written in it", text, pair.Value)
		}
		if strings.Count(pair.Value, "$") > strings.Count(text, "$") || strings.Contains(pair.Value, "\x00") {
			t.Errorf("%q gives the value %q", text, pair.Value)
		}
	}
}

func normalised(text string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(text, "\uFEFF"))
}
