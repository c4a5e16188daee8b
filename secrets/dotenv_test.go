package secrets_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

func TestEnvFileValues(t *testing.T) {
	t.Setenv("HOME", "/home/expanded")
	t.Setenv("OTHER", "expanded")
	tests := []struct{ name, line, want string }{
		{"blanks around = and value go", "  KEY \t=  value\t ", `value`},
		{"export with tabs is ignored", "\texport\t KEY = value", `value`},

		{"a comment may be empty", `KEY=value #`, `value`},
		{"a comment may hold quotes", `KEY=value # it's "one`, `value`},

		{"quoted blanks stay", `KEY="  value  "`, `  value  `},
		{"quotes in a comment close nothing", `KEY="a" # "b"`, `a`},
		{"the other quotes stay inside", `KEY="it's"`, `it's`},
		{"many quotes at an end stay but one", `KEY='""'`, `""`},

		{"apostrophes close no quotes", `KEY=rock 'n roll # it's a comment`, `rock 'n roll`},
		{"JSON stays JSON", `KEY={"a":"b#c","d":"\" "} # comment`, `{"a":"b#c","d":"\" "}`},
		{"text with open brackets is no JSON", `KEY=[abc{`, `[abc{`},
		{"a PEM block may stand on one line", `KEY="-----BEGIN KEY-----\nabc=\n-----END KEY-----\n"`, "-----BEGIN KEY-----\nabc=\n-----END KEY-----\n"},
		{"what is invisible stays in quotes", "KEY='\u00a0a\u200b'", "\u00a0a\u200b"},
		{"quoted JSON stays JSON", `KEY='{"a": "b # c"}'`, `{"a": "b # c"}`},

		{"no form of expansion is", `KEY=${OTHER}$(id)$OTHER${OTHER:-x}`, `${OTHER}$(id)$OTHER${OTHER:-x}`},
		{"no form of expansion is in double quotes", `KEY="${OTHER}$(id)$OTHER${OTHER:-x}"`, `${OTHER}$(id)$OTHER${OTHER:-x}`},
		{"an escaped $ without quotes keeps its backslash", `KEY=a\$OTHER`, `a\$OTHER`},
		{"an escaped $ in single quotes keeps its backslash", `KEY='a\$OTHER'`, `a\$OTHER`},
		{"an escaped $ in double quotes is a $", `KEY="a\$OTHER"`, `a$OTHER`},

		{"backslashes without quotes stay", `KEY=C:\new\dir\`, `C:\new\dir\`},
		{`\r in double quotes is a carriage return`, `KEY="a\r\nb"`, "a\r\nb"},
		{"an escaped backslash is a backslash", `KEY="a\\b\\\\c"`, `a\b\\c`},

		{"other scripts stay", `KEY=пароль漢字🔑é`, `пароль漢字🔑é`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// The neighbours show that an entry takes nothing from the next one.
			got, refused := parseEnv("BEFORE=1\n" + tt.line + "\nAFTER=2\n")
			want := []secrets.Pair{{Key: "BEFORE", Value: "1"}, {Key: "KEY", Value: tt.want}, {Key: "AFTER", Value: "2"}}
			if !reflect.DeepEqual(got.Pairs(), want) {
				t.Errorf("%s gives %q, want %q", tt.line, got.Pairs(), want)
			}
			if got.Skipped != nil || refused != nil {
				t.Errorf("lines %v were skipped and %v refused, want none", got.Skipped, refused)
			}
		})
	}
}

func TestEnvFileValuesOverSeveralLines(t *testing.T) {
	const pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQ+/abc\ndef==\n-----END PRIVATE KEY-----"
	pairs := func(kv ...string) (list []secrets.Pair) {
		for i := 0; i < len(kv); i += 2 {
			list = append(list, secrets.Pair{Key: kv[i], Value: kv[i+1]})
		}
		return list
	}
	tests := []struct {
		name    string
		text    string
		want    []secrets.Pair
		skipped []secrets.Skip
	}{
		{"a PEM key in double quotes", "A=1\nPEM=\"" + pem + "\"\nB=2\n", pairs("A", "1", "PEM", pem, "B", "2"), nil},
		{"a PEM key in single quotes", "A=1\nPEM='" + pem + "' # key\nB=2", pairs("A", "1", "PEM", pem, "B", "2"), nil},
		{"a PEM key with a line break at its end", "PEM=\"" + pem + "\n\"\nB=2", pairs("PEM", pem+"\n", "B", "2"), nil},
		{"a PEM key in a CRLF file", "PEM=\"" + strings.ReplaceAll(pem, "\n", "\r\n") + "\"\r\nB=2\r\n", pairs("PEM", pem, "B", "2"), nil},
		{"what looks like entries, comments and blank lines inside", "A=\"[default]\nid = x\n# no comment\n\nkey=y\"\nB=2", pairs("A", "[default]\nid = x\n# no comment\n\nkey=y", "B", "2"), nil},
		{"escapes work on every line", "A=\"x\\\"\n\\\"y\\\\\nz\"\nB=2", pairs("A", "x\"\n\"y\\\nz", "B", "2"), nil},
		{"the last of two values counts, at the first one's place", "A=1\nB=2\nA=3\nA=4", pairs("A", "4", "B", "2"), []secrets.Skip{{Line: 1, Key: "A", Reason: secrets.SetAgain}, {Line: 3, Key: "A", Reason: secrets.SetAgain}}},
		{"also if it is empty", "A=1\nA=\nB=\nB=2", pairs("B", "2"), []secrets.Skip{{Line: 1, Key: "A", Reason: secrets.SetAgain}, {Line: 2, Key: "A", Reason: secrets.NothingInIt}, {Line: 3, Key: "B", Reason: secrets.SetAgain}}},
		{"lines without =", "A=1\n\nno equals\nKEY: value\nexport B\nC=3", pairs("A", "1", "C", "3"),
			[]secrets.Skip{{Line: 3, Reason: secrets.NoEquals}, {Line: 4, Reason: secrets.NoEquals}, {Line: 5, Reason: secrets.NoEquals}}},
		{"a line that exports right behind an entry", "A=1\nexport A\nB=2", pairs("A", "1", "B", "2"), []secrets.Skip{{Line: 2, Reason: secrets.NoEquals}}},
		{"a line that exports several right behind an entry", "A=1\n\texport\tA B # both\nB=2", pairs("A", "1", "B", "2"), []secrets.Skip{{Line: 2, Reason: secrets.NoEquals}}},
		{"empty values", "A=\nB= \nC=\"\"\nD=''\nE= # comment\nF=\"  \"\nG=1", pairs("G", "1"), []secrets.Skip{{Line: 1, Key: "A", Reason: secrets.NothingInIt}, {Line: 2, Key: "B", Reason: secrets.NothingInIt},
			{Line: 3, Key: "C", Reason: secrets.NothingInIt}, {Line: 4, Key: "D", Reason: secrets.NothingInIt}, {Line: 5, Key: "E", Reason: secrets.NothingInIt}, {Line: 6, Key: "F", Reason: secrets.NothingInIt}}},
		{"keys of all kinds of programs", "a.b-c_D1=1\n_x=2\n.y=3\n" + strings.Repeat("k", 256) + "=4", pairs("a.b-c_D1", "1", "_x", "2", ".y", "3", strings.Repeat("k", 256), "4"), nil},
		{"a CRLF file", "A=1\r\n\r\nB='2'\r\nC=\"3\"\r\n", pairs("A", "1", "B", "2", "C", "3"), nil},
		{"a file with old Mac line ends", "A=1\rB=2\r", pairs("A", "1", "B", "2"), nil},
		{"a byte order mark", "\uFEFFA=1", pairs("A", "1"), nil},
		{"comments and blank lines are passed over in silence", "\n# A=1\n  # B=\"\n \t\nC=3", pairs("C", "3"), nil},
		{"an empty file", "", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, refused := parseEnv(tt.text)
			if refused != nil || !slices.Equal(got.Pairs(), tt.want) {
				t.Errorf("the text gives %q, refused %v; want %q", got.Pairs(), refused, tt.want)
			}
			if !reflect.DeepEqual(got.Skipped, tt.skipped) {
				t.Errorf("lines %v were skipped, want %v", got.Skipped, tt.skipped)
			}
		})
	}
}

func TestReadEnvFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	full := "KEY=sentinel\n" + strings.Repeat("#", 1<<20-13)

	t.Run("a file of 1 MB is read", func(t *testing.T) {
		got, err := secrets.ReadEnvFile(write("full", full, 0o600))
		if err != nil || !slices.Equal(got.Pairs(), []secrets.Pair{{Key: "KEY", Value: "sentinel"}}) {
			t.Errorf("it gives %v and %v, want its one secret", got, err)
		}
	})
	tests := []struct {
		name string
		path string
		want *secrets.Problem
	}{
		{"no file", filepath.Join(dir, "missing"), secrets.EnvMissing},
		{"a directory", dir, secrets.EnvDirectory},
		{"one byte more than 1 MB", write("larger", full+"#", 0o600), secrets.EnvTooLarge},
		{"Latin-1", write("latin1", "KEY=sentinel\xfc\n", 0o600), secrets.EnvNotText},
		{"UTF-16 with its mark", write("utf16", "\xff\xfeK\x00=\x00s\x00", 0o600), secrets.EnvNotText},
		{"UTF-16 without its mark", write("utf16bare", "K\x00=\x00s\x00", 0o600), secrets.EnvNotText},
		{"a path through a file", filepath.Join(write("plain", "KEY=sentinel\n", 0o600), "x"), secrets.EnvUnreadable},
		{"a file without permission", write("locked", "KEY=sentinel\n", 0), secrets.EnvUnreadable},
	}
	for _, tt := range tests {
		t.Run(tt.name+" is refused", func(t *testing.T) {
			if tt.want == secrets.EnvUnreadable && runtime.GOOS == "windows" {
				t.Skip("Windows calls it a missing file, and has no mode 0")
			}
			if tt.name == "a file without permission" && os.Geteuid() == 0 {
				t.Skip("root may read every file")
			}
			file, err := secrets.ReadEnvFile(tt.path)
			if !errors.Is(err, tt.want) {
				t.Fatalf("ReadEnvFile returned %v, want the problem %q", err, tt.want)
			}
			if file.Entries != nil {
				t.Error("secrets came with the error: nothing may be sent")
			}
			if !strings.Contains(err.Error(), filepath.Base(tt.path)) || strings.Contains(err.Error(), "sentinel") {
				t.Errorf("the message %q must name the file and none of its content", err)
			}
		})
	}
}
