package secrets_test

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/joho/godotenv"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

// dialect is the table in docs/secrets.md: what the others make of a line, as seen with node
// dotenv 17.4, python-dotenv 1.2, godotenv 1.5 and compose-go 2.16, and what we do.
var dialect = []struct {
	text   string
	want   string // of the key K
	refuse *secrets.Problem
	others bool // godotenv reads it otherwise, or not at all
}{
	{text: `K=a # b`, want: `a`},
	{text: `K=a # b # c`, want: `a`, others: true},
	{text: "K=a\t# b", want: `a`},
	{text: `K=a#b`, want: `a#b`},
	{text: `K=#a`, want: `#a`},
	{text: `K=a=b==`, want: `a=b==`},
	{text: `K = a`, want: `a`},
	{text: `export K=a`, want: `a`},
	{text: `K="a # b" # c`, want: `a # b`},
	{text: `K="a"# c`, want: `a`},
	{text: "K=\"a\nb\"", want: "a\nb"},
	{text: "K='a\nb'", want: "a\nb"},
	{text: `K="a\nb\rc"`, want: "a\nb\rc"},
	{text: `K='a\nb'`, want: `a\nb`},
	{text: `K=a\nb\`, want: `a\nb\`},
	{text: `K="say \"hi\" twice"`, want: `say "hi" twice`},
	{text: `K="say \"hi\""`, want: `say "hi"`, others: true},
	{text: `K="a\\b"`, want: `a\b`},
	{text: `K=it's`, want: `it's`},
	{text: `K=5"`, want: `5"`},
	{text: "K=`a b`", want: "`a b`"},
	{text: `K={"a": "b"}`, want: `{"a": "b"}`},
	{text: `K-1=a`, want: ``, others: true},

	{text: `K="""x"""`, refuse: secrets.TextBehind},
	{text: `K="x" B="y"`, refuse: secrets.TextBehind},
	{text: `K="a" b`, refuse: secrets.TextBehind},
	{text: `K="a";`, refuse: secrets.TextBehind},
	{text: `K='it's'`, refuse: secrets.TextBehind},
	{text: `K="say "hi""`, refuse: secrets.TextBehind},
	{text: "K=\"a\"\u00a0", refuse: secrets.TextBehind},
	{text: `K="open`, refuse: secrets.QuoteOpen},
	{text: "K='open\nB='x'", refuse: secrets.QuoteOpen},
	{text: "K=`open\nb`", refuse: secrets.QuoteOpen},
	{text: `K="\d+"`, refuse: secrets.OddBackslash},
	{text: `K="a\tb"`, refuse: secrets.OddBackslash},
	{text: "K=\"\\`\"", refuse: secrets.OddBackslash},
	{text: `K="C:\dir\"`, refuse: secrets.OddBackslash},
	{text: `K="a\\"`, refuse: secrets.OddBackslash},
	{text: `K='it\'s'`, refuse: secrets.OddBackslash},
	{text: "K=\u00a0a", refuse: secrets.OddBlank},
	{text: "K=a\u00a0b", refuse: secrets.OddBlank},
	{text: "K=a\u200bb", refuse: secrets.OddBlank},
	{text: "K=a\u2028b", refuse: secrets.OddBlank},
	{text: `QUJD==`, refuse: secrets.Padding},
	{text: `K={"a": "b # c"}`, refuse: secrets.ValueOpen},
	{text: "K={\n\"a\": 1\n}", refuse: secrets.ValueOpen},
	{text: "K=[", refuse: secrets.ValueOpen},
	{text: "K=a\nb", refuse: secrets.MoreOfValue},
	{text: "K=\nb", refuse: secrets.MoreOfValue},
	{text: "K=\"a\"\nb", refuse: secrets.MoreOfValue},
	{text: "K=a \\\nb", refuse: secrets.Continuation},
	{text: "K=<<END\na\nEND", refuse: secrets.HereDocument},
	{text: "[db]\nK=a", refuse: secrets.Section},
	{text: "[ -f x ]\nK=a", refuse: secrets.Section},
	{text: "K=-----BEGIN KEY-----\nabc", refuse: secrets.ValueOpen},
	{text: `K="-----BEGIN KEY-----"`, refuse: secrets.ValueOpen},
	{text: "K=\"a\rb\"", refuse: secrets.LoneCR},
	{text: "K=a\n\uFEFFB=b", refuse: secrets.BOMInside},
	{text: "K=a\uFEFFB=b", refuse: secrets.BOMInside},
	{text: `K B=a`, refuse: secrets.KeyNoName},
	{text: `'K'=a`, refuse: secrets.KeyNoName},
	{text: `1K=a`, refuse: secrets.KeyNoName},
	{text: `-K=a`, refuse: secrets.KeyNoName},
	{text: "\u00a0K=a", refuse: secrets.KeyNoName},
	{text: "K\u200b=a", refuse: secrets.KeyNoName},
	{text: `K: a=b`, refuse: secrets.KeyNoName},
	{text: `=a`, refuse: secrets.KeyNoName},
	{text: `export =a`, refuse: secrets.KeyNoName},
}

// parseEnv reads a text as a file, and returns the lines for which it is refused.
func parseEnv(text string) (plan secrets.Plan, refused []secrets.Entry) {
	plan, err := secrets.ReadEnvFiles([]string{"-"}, strings.NewReader(text))
	if lines := (*secrets.EnvLinesError)(nil); errors.As(err, &lines) {
		refused = lines.Lines
	}
	return plan, refused
}

func TestEachLineOfTheDialectIsReadByTheMajorityOrRefused(t *testing.T) {
	for _, tt := range dialect {
		t.Run(tt.text, func(t *testing.T) {
			plan, refused := parseEnv(tt.text)
			if tt.refuse != nil {
				if len(refused) == 0 || refused[0] != (secrets.Entry{Line: lineOf(tt.text, tt.refuse), Problem: tt.refuse}) || plan != nil {
					t.Fatalf("it gives %v and %v, want it refused for %q and nothing to send", plan, refused, tt.refuse)
				}
				return
			}
			if refused != nil || len(plan) != 1 || tt.want != "" && plan[0].Value != tt.want {
				t.Fatalf("it gives %v, refused %v; want the value %q", plan, refused, tt.want)
			}
			theirs, err := godotenv.Unmarshal(tt.text)
			if same := err == nil && theirs["K"] == tt.want; same == tt.others {
				t.Errorf("godotenv gives %q and %v, which is not what the table in docs/secrets.md says", theirs, err)
			}
		})
	}
}

// lineOf is the line that a problem of the table is in: the second one for what begins there.
func lineOf(text string, problem *secrets.Problem) int {
	if (problem == secrets.BOMInside || problem == secrets.MoreOfValue) && strings.Contains(text, "\n") {
		return 2
	}
	return 1
}

func TestTheDialectIsInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/secrets.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range dialect {
		text := strings.NewReplacer("`", "ˋ", "\n", `⏎`, "\t", `⇥`, "\r", `␍`, "\u00a0", `⍽`, "\u200b", `U+200B`, "\u2028", `U+2028`, "\uFEFF", `U+FEFF`).Replace(tt.text)
		if !strings.Contains(string(page), "`"+text+"`") {
			t.Errorf("docs/secrets.md has no row for `%s`", text)
		}
	}
}

// Stand-ins for what godotenv reads in a way of its own.
const (
	standDollar = "\ue000"
	standHyphen = "_ZQHYPHENZQ_"
)

// hidden is a text as godotenv gets it: it expands $ and knows no - in keys. Lines that were skipped for having no = it would not read at all.
func hidden(text string, plan secrets.Plan) string {
	lines := strings.Split(strings.ReplaceAll(strings.TrimPrefix(text, "\uFEFF"), "\r\n", "\n"), "\n")
	for _, skip := range plan {
		if skip.Problem == secrets.NoEquals {
			lines[skip.Line-1] = ""
		}
	}
	key := regexp.MustCompile(`^([\t ]*(?:export[\t ]+)?[\w.-]+)([\t ]*=)`)
	for i, line := range lines {
		line = strings.ReplaceAll(line, "$", standDollar)
		if m := key.FindStringSubmatchIndex(line); m != nil {
			line = strings.ReplaceAll(line[:m[3]], "-", standHyphen) + line[m[3]:]
		}
		lines[i] = line
	}
	return strings.Join(lines, "\n")
}

func shown(text string) string {
	return strings.NewReplacer(standDollar, "$", standHyphen, "-").Replace(text)
}

// FuzzDotenv: a text is refused, or godotenv reads the same in it.
func FuzzDotenv(f *testing.F) {
	for _, tt := range dialect {
		f.Add(tt.text)
		f.Add("A=1\n" + tt.text + "\nB=2\n")
	}
	for _, seed := range []string{"", "\uFEFFA=1\r\nB=2\rC=3", "A=\nA=1\nA=2", "#\n # \n\t#", "no equals\nA=1", "A='='\n==", "A=1\nA=\nA= ", "A=\"'\n'\"", "A=''\nB=\"\"", "A=$A${A}$(A)\\$A\nB=\"\\$A\"", "A-B=1-2", "A=\n\f"} {
		f.Add(seed)
	}
	f.Setenv("A", "expanded")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\x00"+standDollar) || strings.Contains(text, "ZQ") || strings.ToValidUTF8(text, "") != text {
			t.Skip("no such text gets so far, or the test's own characters are in it")
		}
		if strings.Contains(text, `\""`) {
			t.Skip(`godotenv takes a quote off that is a part of the value: "say \"hi\""`)
		}
		if regexp.MustCompile(`[\t ]#.*[\t ]#`).MatchString(text) {
			t.Skip("godotenv begins a comment at the last # of a line instead of the first: K=a # b # c")
		}
		plan, refused := parseEnv(text)
		if refused != nil {
			return
		}
		theirs, err := godotenv.Unmarshal(hidden(text, plan))
		if err != nil {
			t.Fatalf("%q gives %q, and godotenv refuses it: %v", text, plan.Pairs(), err)
		}
		compare(t, text, plan, theirs)
	})
}

// compare looks for differences in what would be sent.
func compare(t *testing.T, text string, plan secrets.Plan, theirs map[string]string) {
	t.Helper()
	empty, ours := map[string]bool{}, map[string]string{}
	for _, entry := range plan {
		switch entry.Problem {
		case secrets.NothingInIt:
			empty[entry.Key] = true
		case nil:
			ours[entry.Key] = entry.Value
		}
	}
	for key, value := range theirs {
		if key = shown(key); !empty[key] && ours[key] != shown(value) {
			t.Errorf("%q: %q is %q, and for godotenv %q", text, key, ours[key], shown(value))
		}
		delete(ours, key)
	}
	if len(ours) > 0 {
		t.Errorf("%q: godotenv does not find %q", text, ours)
	}
}
