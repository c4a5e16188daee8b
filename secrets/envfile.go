package secrets

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// EnvFile is the content of a .env file, or of several one after the other.
type EnvFile struct {
	Files []string  // as errors call them, in order
	Plan  []Planned // what becomes of their lines, in order; comments and empty lines are left out
}

// Planned is a secret to set, from an argument or a line of a file, or a line that is passed over.
type Planned struct {
	Pair
	File    string     // "" for an argument
	Line    int        // of the file, from 1; 0 for an argument
	Skipped SkipReason // "" for a secret to set
}

// Length is that of the value, in characters.
func (p Planned) Length() int { return utf8.RuneCountInString(p.Value) }

// SkipReason says why a line is passed over, in fixed words and the name of a file.
type SkipReason string

// The reasons to skip a line; the other one is that a later file sets the key again, and names it.
const (
	NoEquals    SkipReason = "without ="
	NothingInIt SkipReason = "without a value"
	SetAgain    SkipReason = "set again further down"
)

// Join puts files one after the other: the last value of a key counts.
func Join(files ...EnvFile) (all EnvFile) {
	for _, file := range files {
		all.Files, all.Plan = append(all.Files, file.Files...), append(all.Plan, file.Plan...)
	}
	skipRepeated(all.Plan)
	return all
}

// skipRepeated skips each entry whose key is set again behind it, as in a shell.
func skipRepeated(plan []Planned) {
	later := make(map[string]string) // the file that sets a key next
	for i, entry := range slices.Backward(plan) {
		if entry.Skipped != "" {
			continue
		}
		file, again := later[entry.Key]
		later[entry.Key] = entry.File
		switch {
		case again && file == entry.File:
			plan[i].Skipped = SetAgain
		case again:
			plan[i].Skipped = SkipReason("set again in '" + Printable(file) + "'")
		}
	}
}

// PlanOf is the plan for arguments, in their order.
func PlanOf(pairs []Pair) []Planned {
	plan := make([]Planned, len(pairs))
	for i, pair := range pairs {
		plan[i].Pair = pair
	}
	return plan
}

// Pairs are the keys and values to set, in order.
func (f EnvFile) Pairs() []Pair {
	var pairs []Pair
	for _, entry := range f.Plan {
		if entry.Skipped == "" {
			pairs = append(pairs, entry.Pair)
		}
	}
	return pairs
}

// SkippedInWords names the skipped lines of a file by their numbers and reasons, "" for none.
func (f EnvFile) SkippedInWords(file string) string {
	var lines []EnvLine
	for _, entry := range f.Plan {
		if entry.Skipped != "" && entry.File == file {
			lines = append(lines, EnvLine{entry.Line, &Problem{What: string(entry.Skipped)}})
		}
	}
	return inWords(lines, " ", " ", "; ")
}

// What is wrong with a .env file as a whole.
var (
	EnvMissing    = &Problem{"there is no such file", "Name one with --env-file."}
	EnvDirectory  = &Problem{"it is a directory", "Name the file in it with --env-file."}
	EnvUnreadable = &Problem{"it cannot be read", "Check its permissions."}
	EnvNotText    = &Problem{"it is not UTF-8 text", "Save it as UTF-8."}
	EnvTooLarge   = &Problem{"it is larger than 1 MB", "Name a file with nothing but secrets in it."}
)

const pipeItIn = "or pipe it in: arcade secret set KEY=- < file"

// The problems of an [EnvLine]: what the line has.
var (
	KeyNoName = &Problem{"a key that is no name",
		"A key has at most 256 letters, digits, _, - and ., starts with none of 0-9 and -, and ends at the =."}
	QuoteOpen = &Problem{"a quote that is never closed",
		"Close it, or take the quote for a part of the value by putting the other quotes around it."}
	TextBehind   = &Problem{"text behind a closing quote", "Put one pair of quotes around the whole value."}
	ValueOpen    = &Problem{"a value that has only begun", "Put quotes around all its lines, " + pipeItIn}
	Continuation = &Problem{"a backslash behind its value, by which a shell continues a line",
		"Write the value on one line, put quotes around all its lines, " + pipeItIn}
	HereDocument = &Problem{"a value that begins with <<, as a shell's here-document does", "Put quotes around the text itself, " + pipeItIn}
	MoreOfValue  = &Problem{"text without = right behind a value, as if it went on",
		"Put quotes around all lines of the value; an empty line before the text says that it is none of them."}
	Section = &Problem{"a [ before all else, as in INI, TOML and shell files",
		"Put the secrets that you mean into a .env file, which has no sections."}
	Padding      = &Problem{"nothing but = behind a key, as at the end of base64 text", "Put it in quotes if it is the value."}
	OddBackslash = &Problem{"a backslash that programs read differently",
		`In double quotes write only \n, \r, \\, \" and \$, or leave the quotes away.`}
	OddBlank = &Problem{"an invisible character or a blank that is none",
		"Type the line anew, or put the value in quotes if it belongs there."}
	BOMInside = &Problem{"a byte order mark, as between two files that were joined",
		"Remove it, or name the files one after the other: -f FILE -f FILE"}
	LoneCR = &Problem{"a line break that programs read differently", "Save the file with LF or CRLF line ends."}
)

// EnvLine is a line for which a file is refused.
type EnvLine struct {
	Line    int // from 1
	Problem *Problem
}

// EnvLinesError refuses a file for some of its lines. It holds nothing of their text.
type EnvLinesError struct {
	Path  string
	Lines []EnvLine // in the order of the file, at least one
}

func (e *EnvLinesError) Error() string {
	return fmt.Sprintf("'%s' is refused and nothing is sent: %s", Printable(e.Path), inWords(e.Lines, " has ", " have ", ", "))
}

// Unwrap is the [*Problem] of the first line.
func (e *EnvLinesError) Unwrap() error { return e.Lines[0].Problem }

// maxNumbers is how many lines with the same problem are named.
const maxNumbers = 5

// inWords joins what there is to say of lines by separator, the same of several lines once: "line 1", is and
// it, or "lines 1, 2", are and it.
func inWords(lines []EnvLine, is, are, separator string) string {
	var remarks []string
	numbers := make(map[string][]string)
	for _, line := range lines {
		what := line.Problem.What
		if numbers[what] == nil {
			remarks = append(remarks, what)
		}
		numbers[what] = append(numbers[what], strconv.Itoa(line.Line))
	}
	for i, what := range remarks {
		all := numbers[what]
		named := strings.Join(all[:min(len(all), maxNumbers)], ", ")
		switch more := len(all) - maxNumbers; {
		case len(all) == 1:
			remarks[i] = "line " + named + is + what
		case more > 0:
			remarks[i] = fmt.Sprintf("lines %s and %d more%s%s", named, more, are, what)
		default:
			remarks[i] = "lines " + named + are + what
		}
	}
	return strings.Join(remarks, separator)
}
