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

// parseEnv reads a text as a file, and returns the lines for which it is refused.
func parseEnv(text string) (plan secrets.Plan, refused []secrets.Entry) {
	plan, err := secrets.ReadEnvFiles([]string{"-"}, strings.NewReader(text))
	if lines := (*secrets.EnvLinesError)(nil); errors.As(err, &lines) {
		refused = lines.Lines
	}
	return plan, refused
}

// dialectPage is docs/secrets.md.
func dialectPage(t testing.TB) string {
	t.Helper()
	page, err := os.ReadFile("../docs/secrets.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// plain is a text of the page as it stands in a file.
func plain(text string) string {
	return strings.NewReplacer("ˋ", "`", "⏎", "\n", "⇥", "\t", "␍", "\r", "⍽", "\u00a0", "U+200B", "\u200b", "U+2028", "\u2028", "U+FEFF", "\uFEFF").Replace(text)
}

// The other three readers were asked by hand.
func TestArcadeAndGodotenvReadWhatTheTableInTheDocsSays(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| `(.*?)` \\|.*\\|.*\\| (.*) \\|.*\\| (.*) \\|$").FindAllStringSubmatch(dialectPage(t), -1)
	if len(rows) < 10 {
		t.Fatalf("only %d rows were found in docs/secrets.md", len(rows))
	}
	for _, row := range rows {
		text, godotenvs, ours := plain(row[1]), plain(row[2]), plain(row[3])
		plan, refused := parseEnv(text)
		pairs := plan.Pairs()
		if refused != nil || pairs == nil && ours != "skipped" || pairs != nil && "`"+pairs[0].Value+"`" != ours {
			t.Errorf("%q gives %q, refused %v; the table says: %s", text, pairs, refused, ours)
		}
		theirs, err := godotenv.Unmarshal(text)
		if (err != nil) != (godotenvs == "an error") || err == nil && "`"+theirs["K"]+"`" != godotenvs {
			t.Errorf("for godotenv %q is %q and %v, the table says: %s", text, theirs, err, godotenvs)
		}
	}
}

func TestWhatTheDocsCallRefusedIs(t *testing.T) {
	found := 0
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\| [^|]* \\|$").FindAllStringSubmatch(dialectPage(t), -1) {
		for _, code := range regexp.MustCompile("`(.+?)`").FindAllStringSubmatch(row[1], -1) {
			found++
			if plan, refused := parseEnv(plain(code[1])); refused == nil || plan != nil {
				t.Errorf("%q gives %v and is not refused", plain(code[1]), plan)
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d refused texts were found in docs/secrets.md", found)
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
	for _, code := range regexp.MustCompile("`(.+?)`").FindAllStringSubmatch(dialectPage(f), -1) {
		f.Add(plain(code[1]))
		f.Add("A=1\n" + plain(code[1]) + "\nB=2\n")
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
