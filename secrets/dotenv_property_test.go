package secrets_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
		invisible := func(r rune) bool { return r != ' ' && (unicode.IsSpace(r) || !unicode.IsGraphic(r)) }
		ok := v == strings.Trim(v, " \t") && !strings.ContainsFunc(v, invisible) && !strings.Contains(v, " #") &&
			!strings.ContainsAny(v[:1], "\"'`{[") && strings.Trim(v, "=") != "" &&
			v != `\` && !strings.HasSuffix(v, ` \`) && !strings.HasPrefix(v, "<<")
		return v, ok
	}},
	{"single quotes", func(_ *rand.Rand, v string) (string, bool) {
		return "'" + v + "'", !strings.ContainsAny(v, "'\r") && !strings.HasSuffix(v, `\`)
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
			case c == '$' && r.IntN(2) == 0:
				text.WriteString(`\` + string(c))
			default:
				text.WriteRune(c)
			}
		}
		return `"` + text.String() + `"`, !strings.HasSuffix(v, `\`)
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
		got, refused := parseEnv(text)
		if refused != nil || !slices.Equal(got.Pairs(), want) {
			t.Fatalf("seed %d: the file\n%q\ngives\n%q, refused %v; want\n%q", seed, text, got.Pairs(), refused, want)
		}
		if !slices.Equal(got.Skipped, skipped) {
			t.Fatalf("seed %d: of the file\n%q\nlines %v were skipped, want %v", seed, text, got.Skipped, skipped)
		}
	}
	for _, q := range quotings {
		if expressed[q.name] < 1000 {
			t.Errorf("only %d values were written %s: the test shows too little", expressed[q.name], q.name)
		}
	}
}

func randomFile(r *rand.Rand, expressed map[string]int) (text string, want []secrets.Pair, skipped []secrets.Skip) {
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
			empty := fmt.Sprintf("EMPTY_%d", len(lines))
			lines = append(lines, pick(r, "\nno equals", empty+"=", empty+"=''", empty+"= # it's"))
			skip := secrets.Skip{Line: strings.Count(strings.Join(lines, "\n"), "\n") + 1, Key: empty, Reason: secrets.NothingInIt}
			if lines[len(lines)-1] == "\nno equals" {
				skip.Key, skip.Reason = "", secrets.NoEquals
			}
			skipped = append(skipped, skip)
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
