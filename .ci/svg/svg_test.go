package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestEachWordStandsAtItsColumnInItsColour(t *testing.T) {
	lines, err := read("\x1b[1mSEQ  STATE\x1b[0m\n  1  \x1b[33m○ pending\x1b[39m  a b\n\n", 80)
	if err != nil {
		t.Fatal(err)
	}
	bold, yellow := style{bold: true}, style{colour: "yellow"}
	want := []line{
		{{0, "SEQ", bold}, {5, "STATE", bold}},
		{{2, "1", style{}}, {5, "○ pending", yellow}, {16, "a b", style{}}},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d: blank ones at the end are no part of the picture", len(lines), len(want))
	}
	for i := range want {
		for j := range max(len(want[i]), len(lines[i])) {
			if len(lines[i]) != len(want[i]) || lines[i][j] != want[i][j] {
				t.Errorf("line %d is %+v, want %+v", i, lines[i], want[i])
				break
			}
		}
	}
}

func TestAStyleGoesOnOverTheEndOfALine(t *testing.T) {
	lines, err := read("\x1b[2;31mone\ntwo\x1b[22m three", 80)
	if err != nil {
		t.Fatal(err)
	}
	if got := lines[1][0].style.names(); got != "faint red" {
		t.Errorf("the second line begins in %q, want the first one's style", got)
	}
	if got := lines[1][1].style.names(); got != "red" {
		t.Errorf("22 leaves %q, want the colour only", got)
	}
}

func TestWhatCannotBeDrawnIsAnError(t *testing.T) {
	for name, screen := range map[string]string{
		"an unknown colour":        "\x1b[35mx",
		"a movement of the cursor": "\x1b[2Jx",
		"a bare escape":            "x\x1b",
		"a tab":                    "a\tb",
		"not UTF-8":                "\xff",
		"a line that is too long":  strings.Repeat("x", 81),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := read(screen, 80); err == nil {
				t.Error("no error: it would be missing in the picture, and nobody would know")
			}
		})
	}
}

func TestTheSizeDependsOnColumnsAndLinesOnly(t *testing.T) {
	for _, screen := range []string{"a\nb", "<&>\nlonger text"} {
		picture := render(t, screen)
		if !strings.Contains(picture, ` width="704" height="70" `) {
			t.Errorf("the picture of two lines of 80 columns begins with %.120s", picture)
		}
	}
}

func FuzzEveryScreenThatCanBeReadGivesWellFormedXML(f *testing.F) {
	for _, seed := range []string{"", "a", "\x1b[31mred\x1b[0m  <b>&\"'", "○ ✓ ✗ …", "\x1b[1;2;32m]]>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, screen string) {
		if _, err := read(screen, 80); err != nil {
			return
		}
		wellFormed(t, render(t, screen))
	})
}

func render(t *testing.T, screen string) string {
	t.Helper()
	var out, errors strings.Builder
	if code := run([]string{"-columns", "80", "-title", "a <title>"}, strings.NewReader(screen), &out, &errors); code != 0 {
		t.Fatalf("exit code %d: %s", code, errors.String())
	}
	return out.String()
}

func wellFormed(t *testing.T, document string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(document))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in %s", err, document)
		}
	}
}
