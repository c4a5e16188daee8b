package advice

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
)

// A delivery can end with any of these, and a person is to be told what that means.
func TestEveryCodeOfADeliveryHasAdvice(t *testing.T) {
	source, err := os.ReadFile("../../../../outbox/sink.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^\tCode\w+ += "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 15 {
		t.Fatalf("only %d codes were found: the test does not see the source", len(codes))
	}
	needless := map[string]string{
		"refused":     "ends a message and no delivery",
		"interrupted": "is said by the command that was",
	}
	for _, code := range codes {
		known := slices.ContainsFunc(Table(), func(line Line) bool { return line.Reason == code[1] })
		if _, without := needless[code[1]]; known == without {
			t.Errorf("the code %q has advice: %v", code[1], known)
		}
	}
}

func TestTheTableOfAdviceIsFitForSentencesAndPrograms(t *testing.T) {
	words := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]bool{}
	for _, line := range Table() {
		if seen[line.Reason] {
			t.Errorf("%s stands there twice", line.Reason)
		}
		seen[line.Reason] = true
		if !words.MatchString(line.Reason) || !words.MatchString(line.Advice) {
			t.Errorf("%q and %q are no words for programs", line.Reason, line.Advice)
		}
		if strings.HasSuffix(line.What, ".") || !strings.HasSuffix(line.Do, ".") {
			t.Errorf("%s: what happened goes on after 'Error:', and what to do is a sentence", line.Reason)
		}
		if r := []rune(line.Do)[0]; !unicode.IsUpper(r) && r != '\'' {
			t.Errorf("%s: what to do does not begin a sentence: %q", line.Reason, line.Do)
		}
	}
}

func TestAReasonOfALaterVersionIsShownAsItIs(t *testing.T) {
	got := For(track.Reason{Code: "eclipse", Detail: "the sun is gone"}, func(path string) string { return path })
	if got.Reason != "eclipse" || got.What != "the sun is gone" || got.Do == "" {
		t.Errorf("it says %+v", got)
	}
}
