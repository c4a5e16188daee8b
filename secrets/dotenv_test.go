package secrets_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

// pairsOf makes pairs of keys and values in turn.
func pairsOf(texts ...string) (pairs []secrets.Pair) {
	for text := range slices.Chunk(texts, 2) {
		pairs = append(pairs, secrets.Pair{Key: text[0], Value: text[1]})
	}
	return pairs
}

// The table in docs/secrets.md is not repeated here, nor what all readers do alike there: FuzzDotenv asks godotenv.
func TestAValueInAnEnvFileMeansWhatTheDocsSay(t *testing.T) {
	t.Setenv("OTHER", "expanded")
	tests := []struct{ name, line, want string }{
		{"blanks around = and value go", "  KEY \t=  value\t ", `value`},
		{"export with tabs is ignored", "\texport\t KEY = value", `value`},
		{"a comment may be empty", `KEY=value #`, `value`},
		{"a comment may hold quotes", `KEY=value # it's "one`, `value`},
		{"quoted blanks stay", `KEY="  value  "`, `  value  `},
		{"quotes in a comment close nothing", `KEY="a" # "b"`, `a`},
		{"the other quotes stay inside", `KEY="it's"`, `it's`},
		{"apostrophes close no quotes", `KEY=rock 'n roll # it's a comment`, `rock 'n roll`},
		{"JSON stays JSON", `KEY={"a":"b#c","d":"\" "} # comment`, `{"a":"b#c","d":"\" "}`},
		{"text with open brackets is no JSON", `KEY=[abc{`, `[abc{`},
		{"a PEM block may stand on one line", `KEY="-----BEGIN KEY-----\nabc=\n-----END KEY-----\n"`,
			"-----BEGIN KEY-----\nabc=\n-----END KEY-----\n"},
		{"what is invisible stays in quotes", "KEY='\u00a0a\u200b'", "\u00a0a\u200b"},
		{"no form of expansion is", `KEY=${OTHER}$(id)$OTHER${OTHER:-x}`, `${OTHER}$(id)$OTHER${OTHER:-x}`},
		{"no form of expansion is in double quotes", `KEY="${OTHER}$(id)$OTHER${OTHER:-x}"`, `${OTHER}$(id)$OTHER${OTHER:-x}`},
		{"an escaped $ without quotes keeps its backslash", `KEY=a\$OTHER`, `a\$OTHER`},
		{"an escaped $ in double quotes is a $", `KEY="a\$OTHER"`, `a$OTHER`},
		{"backslashes without quotes stay", `KEY=C:\new\dir\`, `C:\new\dir\`},
		{"an escaped backslash is a backslash", `KEY="a\\b\\\\c"`, `a\b\\c`},
		{"other scripts stay", `KEY=пароль漢字🔑é`, `пароль漢字🔑é`},
	}
	for _, tt := range tests {
		// The neighbours show that an entry takes nothing from the next one.
		got, refused := parseEnv("BEFORE=1\n" + tt.line + "\nAFTER=2\n")
		if want := pairsOf("BEFORE", "1", "KEY", tt.want, "AFTER", "2"); !slices.Equal(got.Pairs(), want) || len(got) != 3 {
			t.Errorf("%s: %s gives %v, refused %v; want %q and no line skipped", tt.name, tt.line, got, refused, want)
		}
	}
}

func TestTheLinesOfAnEnvFileAreSetOrSkipped(t *testing.T) {
	const pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQ+/abc\ndef==\n-----END PRIVATE KEY-----"
	long := strings.Repeat("k", 256)
	tests := []struct {
		name    string
		text    string
		want    []secrets.Pair
		skipped string
	}{
		{"a PEM key in double quotes", "A=1\nPEM=\"" + pem + "\"\nB=2\n", pairsOf("A", "1", "PEM", pem, "B", "2"), ""},
		{"a PEM key in a CRLF file", "PEM=\"" + strings.ReplaceAll(pem, "\n", "\r\n") + "\"\r\nB=2\r\n",
			pairsOf("PEM", pem, "B", "2"), ""},
		{"what looks like entries, comments and blank lines inside", "A=\"[default]\nid = x\n# no comment\n\nkey=y\"\nB=2",
			pairsOf("A", "[default]\nid = x\n# no comment\n\nkey=y", "B", "2"), ""},
		{"escapes work on every line", "A=\"x\\\"\n\\\"y\\\\\nz\"\nB=2", pairsOf("A", "x\"\n\"y\\\nz", "B", "2"), ""},
		{"the last of several values counts", "A=1\nB=2\nA=3\nA=4", pairsOf("B", "2", "A", "4"), "lines 1, 3 set again further down"},
		{"also if it is empty", "A=1\nA=\nB=\nB=2", pairsOf("B", "2"), "lines 1, 3 set again further down; line 2 without a value"},
		{"lines without =", "first\nA=1\n\nno equals\nKEY: value\nexport B\nC=3", pairsOf("A", "1", "C", "3"), "lines 1, 4, 5, 6 without ="},
		{"a line that exports several right behind an entry", "A=1\n\texport\tA B # both\nB=2", pairsOf("A", "1", "B", "2"),
			"line 2 without ="},
		{"empty values", "A=\nB= \nC=\"\"\nD=''\nE= # comment\nF=\"  \"\nG=1", pairsOf("G", "1"),
			"lines 1, 2, 3, 4, 5 and 1 more without a value"},
		{"keys of all kinds of programs", "a.z-0_Z9=1\n_x=2\n.y=3\n" + long + "=4",
			pairsOf("a.z-0_Z9", "1", "_x", "2", ".y", "3", long, "4"), ""},
		{"a CRLF file", "A=1\r\n\r\nB='2'\r\nC=\"3\"\r\n", pairsOf("A", "1", "B", "2", "C", "3"), ""},
		{"a byte order mark", "\uFEFFA=1", pairsOf("A", "1"), ""},
		{"comments and blank lines are passed over in silence", "\n# A=1\n  # B=\"\n \t\nC=3", pairsOf("C", "3"), ""},
		{"an empty file", "", nil, ""},
	}
	for _, tt := range tests {
		got, refused := parseEnv(tt.text)
		skipped := strings.TrimPrefix(strings.Join(got.Skipped(), "\n"), "skipped in 'standard input': ")
		if refused != nil || !slices.Equal(got.Pairs(), tt.want) || skipped != tt.skipped {
			t.Errorf("%s: the text gives %q, skipped %q, refused %v; want %q and %q",
				tt.name, got.Pairs(), skipped, refused, tt.want, tt.skipped)
		}
	}
}

func TestOfSeveralFilesTheLastValueOfAKeyCounts(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFile(t, "f0", "A=1\nB=1\nB=2\nC=1")
	writeFile(t, "f1", "B=3\nC=\nD=1")
	plan, err := secrets.ReadEnvFiles([]string{"f0", "f1", "-"}, strings.NewReader("D=4\nB=5"))
	if want := pairsOf("A", "1", "C", "1", "D", "4", "B", "5"); err != nil || !slices.Equal(plan.Pairs(), want) {
		t.Errorf("they give %q and %v, want %q", plan.Pairs(), err, want)
	}
	want := []string{
		"skipped in 'f0': line 2 set again further down; line 3 set again in 'f1'",
		"skipped in 'f1': lines 1, 3 set again in 'standard input'; line 2 without a value",
	}
	if got := plan.Skipped(); !slices.Equal(got, want) {
		t.Errorf("it is said %q, want %q", got, want)
	}
	if err := os.Link("f0", "-"); err != nil {
		t.Fatal(err)
	}
	plan, err = secrets.ReadEnvFiles([]string{"-", "f0", "./-", "f1", "f0", "./f0"}, strings.NewReader("E=5"))
	if want := pairsOf("E", "5", "D", "1", "A", "1", "B", "2", "C", "1"); err != nil || !slices.Equal(plan.Pairs(), want) {
		t.Errorf("with a file that is given again they give %q and %v, want %q", plan.Pairs(), err, want)
	}
	want = []string{"skipped in 'f1': line 1 set again in './f0'; line 2 without a value", "skipped in './f0': line 2 set again further down"}
	if got := plan.Skipped(); !slices.Equal(got, want) {
		t.Errorf("with a file that is given again it is said %q, want that it is read once: %q", got, want)
	}
	writeFile(t, "f3", "A\n")
	plan, err = secrets.ReadEnvFiles([]string{"f3", "-", "./f3"}, strings.NewReader(""))
	const said = "there is no KEY=VALUE in 'standard input' or './f3'"
	if !errors.Is(err, secrets.StdinEmpty) || err.Error() != said || len(plan.Skipped()) != 1 {
		t.Errorf("with nothing to set they give %q and %v, want each file named once, and what is skipped", plan.Skipped(), err)
	}
	if _, err := secrets.ReadEnvFiles([]string{"f3"}, nil); !errors.Is(err, secrets.EnvEmpty) {
		t.Errorf("a file without a secret gives %v, want to be told to name another", err)
	}
	writeFile(t, "f2", "E=\"")
	if plan, err := secrets.ReadEnvFiles([]string{"f0", "f2"}, nil); plan != nil || !errors.Is(err, secrets.QuoteOpen) {
		t.Errorf("with a second file that is refused they give %v and %v, want nothing to send", plan, err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file of many lines that are not secrets names the first few of each kind, and none of their text.
func TestARefusedFileNamesItsLinesByTheirNumbers(t *testing.T) {
	bad := strings.Repeat("sentinel/=x\n", 7)
	for content, want := range map[string]string{
		strings.Repeat("k", 257) + "=x":    "line 1 has a key that is not a name",
		"A=\"x\" sentinel\n":               "line 1 has text after a closing quote",
		strings.Repeat("sentinel/=x\n", 2): "lines 1, 2 have a key that is not a name",
		strings.Repeat("sentinel/=x\n", 5): "lines 1, 2, 3, 4, 5 have a key that is not a name",
		strings.Repeat("sentinel/=x\n", 6): "lines 1, 2, 3, 4, 5 and 1 more have a key that is not a name",
		bad + "\nA=\"x\" sentinel":         "lines 1, 2, 3, 4, 5 and 2 more have a key that is not a name, line 9 has text after a closing quote",
		"A=1\rB=2\nC=\"x\ry\"":             "lines 1, 2 have a line break that programs read differently",
		"A=1\nK='b\nit\\'s sentinel'":      "line 2 has a backslash that programs read differently",
		"K=\"a\nb\"\nsentinel\nc":          "lines 3, 4 have text without = right after a value, as if it went on",
		"K=a\n\uFEFFB=sentinel":            "line 2 has a byte order mark, as between two files that were joined",
	} {
		_, err := secrets.ReadEnvFiles([]string{"-"}, strings.NewReader(content))
		if got := fmt.Sprint(err); got != "'standard input' is refused and nothing is sent: "+want {
			t.Errorf("%q is refused with %q, want %q", content, got, want)
		}
	}
}

func TestAFileThatCannotBeUsedIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	full := "KEY=sentinel\n" + strings.Repeat("#", 1<<20-13)
	if got, refused := parseEnv(full); !slices.Equal(got.Pairs(), pairsOf("KEY", "sentinel")) {
		t.Errorf("a file of 1 MB gives %v and %v, want its one secret", got, refused)
	}
	for path, content := range map[string]string{
		"larger": full + "#", "latin1": "KEY=sentinel\xfc\n", "utf16 with mark": "\xff\xfeK\x00=\x00s\x00", "utf16 without": "\x00K\x00=\x00s",
	} {
		writeFile(t, path, content)
	}
	for path, want := range map[string]*secrets.Problem{
		"missing": secrets.EnvMissing, ".": secrets.EnvDirectory, "larger": secrets.EnvTooLarge, "latin1": secrets.EnvNotText,
		"utf16 with mark": secrets.EnvNotText, "utf16 without": secrets.EnvNotText, "no system opens\x00this": secrets.EnvUnreadable,
	} {
		plan, err := secrets.ReadEnvFiles([]string{path}, nil)
		if !errors.Is(err, want) || plan != nil {
			t.Errorf("%q gives %v and %v, want the problem %q and nothing to send", path, plan, err, want)
		} else if !strings.Contains(err.Error(), "'"+secrets.Printable(path)+"'") || strings.Contains(err.Error(), "sentinel") {
			t.Errorf("the message %q must name the file and none of its content", err)
		}
	}
}
