package advice

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// A delivery can end with any of these, and a person is to be told what that means.
func TestEveryCodeOfADeliveryHasAdvice(t *testing.T) {
	files, err := filepath.Glob("../../../../outbox/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var known, codes []string
	for _, family := range Table() {
		for _, reason := range family.Reasons {
			known = append(known, reason.ID)
		}
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range regexp.MustCompile(`(?m)^\tCode\w+ += "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
			codes = append(codes, code[1])
		}
	}
	if len(codes) < 15 {
		t.Fatalf("only %d codes were found: the test does not see the source", len(codes))
	}
	for _, code := range codes {
		needless := code == "refused" || code == "interrupted" // the end of a message and no delivery; said by the command that was
		if needless == slices.Contains(known, code) {
			t.Errorf("the code %q has advice: %v", code, !needless)
		}
	}
}

func TestTheTableOfAdviceIsFitForSentencesAndPrograms(t *testing.T) {
	words := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	var seen []string
	for _, family := range Table() {
		do := PostHog().Fill(family.Do)
		if r := []rune(do)[0]; !unicode.IsUpper(r) && r != '\'' || !strings.HasSuffix(do, ".") {
			t.Errorf("what to do is no sentence: %q", do)
		}
		for _, reason := range family.Reasons {
			if slices.Contains(seen, reason.ID) || !words.MatchString(reason.ID) || !words.MatchString(family.Advice) {
				t.Errorf("%q and %q are no words for programs, or stand there twice", reason.ID, family.Advice)
			}
			if strings.HasSuffix(reason.What, ".") {
				t.Errorf("%s: what happened goes on after 'Error:'", reason.ID)
			}
			seen = append(seen, reason.ID)
		}
	}
}

func words() Words {
	tracker := track.New("", "")
	tracker.Env = func(name string) string { return map[string]string{"HOME": "/home/ada"}[name] }
	return Words{Track: tracker, Out: &term.Stream{}, Login: func() string { return "arcade login --host cloud.example" }}
}

// Some errors are a kind of another one: who meets the particular one is not told of the general.
func TestEveryErrorOfTheTableGetsItsOwnLine(t *testing.T) {
	for _, family := range Table() {
		for _, reason := range family.Reasons {
			if reason.err == nil {
				continue
			}
			line := words().Of(reason.err)
			if line.Reason != reason.ID {
				t.Errorf("%v is called %s, want %s", reason.err, line.Reason, reason.ID)
			}
			if strings.ContainsAny(line.What+line.Do, "{}") {
				t.Errorf("%s: something is not filled in: %+v", reason.ID, line)
			}
		}
	}
}

// What keeps a person from doing anything is the name of what is in the way.
func TestAdviceNamesWhatItIsAbout(t *testing.T) {
	for err, want := range map[error]string{
		track.ErrLoginRefused: "Run 'arcade login --host cloud.example'.",
		outbox.ErrDangling:    "~/.arcade/usage.db is a link that leads nowhere. Move it away",
		outbox.ErrLocked:      "end the process that has ~/.arcade/usage.db open.",
		outbox.ErrCopies:      "'arcade usage clear' erases them",
		&outbox.PermissionError{Path: "/x", Owner: "root", Remedy: "sudo chown ada /x"}: "/x belongs to root. Run 'sudo chown ada /x'.",
		&outbox.PermissionError{Path: "/x"}:                                             "ou may not use /x.",
		&track.FileError{Path: "/y", Cause: outbox.ErrNotFile}:                          "/y is not a file.",
		&track.Delay{Code: "server", Reason: "HTTP 503"}:                                "PostHog has trouble of its own (HTTP 503). Nothing is lost.",
		&track.Delay{Code: "certificate_name", Reason: "certificate for another name"}:  "is not valid (certificate for another name). Check ARCADE_USAGE_HOST and any proxy",
		&track.Delay{Code: "certificate", Reason: "certificate for another name"}:       "is not valid (certificate for another name). Check this machine's clock, and ARCADE_USAGE_HOST.", // of an earlier version
		&track.Delay{Code: "eclipse", Reason: "the sun is gone"}:                        "The sun is gone. Nothing is lost.",                                                               // of a later version
		&track.Delay{Code: "timeout", Reason: "no answer in time"}:                      "PostHog does not answer in time. Nothing",
	} {
		if got := words().Of(err).Sentence(); !strings.Contains(got, want) {
			t.Errorf("of %v it says %q, want %q", err, got, want)
		}
	}
}
