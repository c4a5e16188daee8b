package secrets_test

import (
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
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

// code finds what the page shows as code.
var code = regexp.MustCompile("`(.+?)`")

// plain is a text of the page as it stands in a file.
func plain(text string) string {
	return strings.NewReplacer("ˋ", "`", "⏎", "\n", "⇥", "\t", "␍", "\r", "⍽", "\u00a0",
		"U+200B", "\u200b", "U+2028", "\u2028", "U+FEFF", "\uFEFF").Replace(text)
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

func TestWhatTheDocsCallRefusedIsForTheReasonThatTheyGive(t *testing.T) {
	found := 0
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\| ([^|]*) \\|$").FindAllStringSubmatch(dialectPage(t), -1) {
		reason, _, _ := strings.Cut(strings.ReplaceAll(row[2], "`", ""), ": ")
		for _, code := range code.FindAllStringSubmatch(row[1], -1) {
			found++
			if plan, refused := parseEnv(plain(code[1])); len(refused) == 0 || refused[0].Problem.What != reason || plan != nil {
				t.Errorf("%q gives %v and is refused for %v, want nothing to send and %q", plain(code[1]), plan, refused, reason)
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d refused texts were found in docs/secrets.md", found)
	}
}

// FuzzDotenv: a text is refused, or godotenv reads the same in it, as far as it reads such texts.
func FuzzDotenv(f *testing.F) {
	for _, code := range code.FindAllStringSubmatch(dialectPage(f), -1) {
		f.Add(plain(code[1]))
		f.Add("A=1\n" + plain(code[1]) + "\nB=2\n")
	}
	for _, seed := range []string{
		"", "\uFEFFA=1\r\nB=2\rC=3", "A=\nA=1\nA=2", "#\n # \n\t#", "no equals\nA=1", "A='='\n==", "A=1\nA=\nA= ", "A=\"'\n'\"",
		"A=''\nB=\"\"", "A=$A${A}$(A)\\$A\nB=\"\\$A\"", "A-B=1-2", "A=\n\f",
	} {
		f.Add(seed)
	}
	const dollar = "\ue000" // godotenv expands a $
	twoComments := regexp.MustCompile(`[\t ]#.*[\t ]#`)
	f.Fuzz(func(t *testing.T, text string) {
		switch {
		case strings.ContainsAny(text, "\x00"+dollar), strings.ToValidUTF8(text, "") != text:
			t.Skip("no such text gets so far, or the test's own character is in it")
		case strings.Contains(text, `\""`):
			t.Skip(`godotenv takes a quote off that is a part of the value: "say \"hi\""`)
		case twoComments.MatchString(text):
			t.Skip("godotenv begins a comment at the last # of a line instead of the first: K=a # b # c")
		}
		plan, refused := parseEnv(text)
		if refused != nil || slices.ContainsFunc(plan, func(e secrets.Entry) bool {
			return e.Problem == secrets.NoEquals || strings.Contains(e.Key, "-")
		}) {
			t.Skip("it is refused, or godotenv refuses a line without = or a key with - in it")
		}
		theirs, err := godotenv.Unmarshal(strings.TrimPrefix(strings.ReplaceAll(text, "$", dollar), "\uFEFF"))
		if err != nil {
			t.Fatalf("%q gives %q, and godotenv refuses it: %v", text, plan.Pairs(), err)
		}
		for key, value := range theirs {
			theirs[key] = strings.ReplaceAll(value, dollar, "$")
		}
		ours := make(map[string]string)
		for _, entry := range plan {
			switch entry.Problem {
			case secrets.NothingInIt:
				delete(theirs, entry.Key)
			case nil:
				ours[entry.Key] = entry.Value
			}
		}
		if !maps.Equal(ours, theirs) {
			t.Errorf("%q is %q, and for godotenv %q", text, ours, theirs)
		}
	})
}
