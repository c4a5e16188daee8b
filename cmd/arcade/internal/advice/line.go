package advice

import (
	"regexp"
	"strings"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
)

// Line is a line of the table: why recording or delivery stands still, and what to do about it. All
// commands, their --json and docs/usage.md have these words and no others for it.
type Line struct {
	// Reason and Advice identify the two for programs.
	Reason, Advice string
	// What and Do are for people. {file}, {owner}, {command} and {switch} stand for what they name.
	What, Do string
}

const (
	nothingIsLost = "Nothing is lost: "
	nothingToDo   = nothingIsLost + "a later command delivers."
)

// Then is what to do, and when delivery is tried again.
func (line Line) Then(nextTry string) string {
	if line.Do == nothingToDo {
		return nothingIsLost + strings.ToLower(nextTry[:1]) + nextTry[1:]
	}
	return line.Do + " " + nextTry
}

// Sentence is both as they stand in a text.
func (line Line) Sentence() string {
	return strings.ToUpper(line.What[:1]) + line.What[1:] + ". " + line.Do
}

// detailOf is what the sentence of a reason does not say: an HTTP status, or what kind of failure it was.
func detailOf(code, reason string) string {
	if status := regexp.MustCompile(`HTTP \d+`).FindString(reason); status != "" {
		return status
	}
	switch code {
	case "offline", "broken", "proxy", "certificate", track.ReasonDatabase:
		return reason
	case "address":
		what, _, _ := strings.Cut(reason, "; ") // the advice says what a right one looks like
		return what
	}
	return ""
}
