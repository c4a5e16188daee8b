package secrets

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Pair is a secret's name and its value.
type Pair struct {
	Key   string
	Value string
}

// Entry is an argument of `secret set` or a line of a .env file.
type Entry struct {
	Pair
	File    string   // "" for an argument
	Line    int      // of the file, from 1; 0 for an argument
	Problem *Problem // why it is skipped, or the file refused; nil for a secret to set
}

// Plan says what becomes of arguments or of the lines of .env files, in order, without comments and empty lines.
type Plan []Entry

// Pairs are the keys and values to set.
func (p Plan) Pairs() (pairs []Pair) {
	for _, entry := range p {
		if entry.Problem == nil {
			pairs = append(pairs, entry.Pair)
		}
	}
	return pairs
}

// Skipped says for each file which lines are skipped, by their numbers, and why.
func (p Plan) Skipped() (remarks []string) {
	skipped := make(map[string][]Entry)
	for _, entry := range p {
		if entry.Problem != nil {
			skipped[entry.File] = append(skipped[entry.File], entry)
		}
	}
	for _, entry := range p {
		if lines := skipped[entry.File]; lines != nil {
			remarks = append(remarks, fmt.Sprintf("skipped in '%s': %s", Printable(entry.File), inWords(lines, " ", " ", "; ")))
			delete(skipped, entry.File)
		}
	}
	return remarks
}

// The problems of a skipped line. One more names the later file that sets the key again.
var (
	NoEquals    = &Problem{What: "without ="}
	NothingInIt = &Problem{What: "without a value"}
	SetAgain    = &Problem{What: "set again further down"}
)

// skip skips the entries without a value, and those whose key is set again later, as in a shell. An entry without a
// value hides earlier ones in its own file only.
func skip(files []Plan) {
	later := make(map[string]string) // the file that sets a key next
	for _, plan := range slices.Backward(files) {
		below := make(map[string]bool)
		for i, entry := range slices.Backward(plan) {
			switch {
			case entry.Problem != nil:
			case below[entry.Key]:
				plan[i].Problem = SetAgain
			case strings.TrimSpace(entry.Value) == "":
				plan[i].Problem = NothingInIt
			default:
				if file, again := later[entry.Key]; again {
					plan[i].Problem = &Problem{What: "set again in '" + Printable(file) + "'"}
				}
				later[entry.Key] = entry.File
			}
			below[entry.Key] = true
		}
	}
}

// What is wrong with a .env file as a whole.
var (
	EnvMissing    = &Problem{"there is no such file", "Name one with --env-file."}
	EnvDirectory  = &Problem{"it is a directory", "Name the file in it with --env-file."}
	EnvUnreadable = &Problem{"it cannot be read", "Check its permissions."}
	EnvNotText    = &Problem{"it is not UTF-8 text", "Save it as UTF-8."}
	EnvTooLarge   = &Problem{"it is larger than 1 MB", "Name a file with nothing but secrets in it."}
	EnvEmpty      = &Problem{"no secrets in it", "Name another file with --env-file."}
	StdinEmpty    = &Problem{"no secrets in it", "Check the program that writes it."}
)

const pipeItIn = "or pipe it in: arcade secret set KEY=- < file"

// The problems of a line for which its file is refused. Each says what the line has.
var (
	KeyNoName = &Problem{"a key that is not a name",
		"A key has at most 256 letters, digits, _, - and ., does not start with a digit or -, and ends at the =."}
	QuoteOpen = &Problem{"a quote that is never closed",
		"Close it, or take the quote for a part of the value by putting the other quotes around it."}
	TextBehind   = &Problem{"text after a closing quote", "Put one pair of quotes around the whole value."}
	ValueOpen    = &Problem{"a value that has only begun", "Put quotes around all its lines, " + pipeItIn}
	Continuation = &Problem{"a backslash after its value, by which a shell continues a line",
		"Write the value on one line, put quotes around all its lines, " + pipeItIn}
	HereDocument = &Problem{"a value that begins with <<, as a shell's here-document does", "Put quotes around the text itself, " + pipeItIn}
	MoreOfValue  = &Problem{"text without = right after a value, as if it went on",
		"Put quotes around all lines of the value; an empty line before the text says that it is not one of them."}
	Section = &Problem{"a [ before all else, as in INI, TOML and shell files",
		"Put the secrets that you mean into a .env file, which has no sections."}
	Padding      = &Problem{"nothing but = after a key, as at the end of base64 text", "Put it in quotes if it is the value."}
	OddBackslash = &Problem{"a backslash that programs read differently",
		`In double quotes write only \n, \r, \\, \" and \$, or leave out the quotes.`}
	OddBlank = &Problem{"an invisible character or an unusual blank",
		"Type the line again, or put the value in quotes if it belongs there."}
	BOMInside = &Problem{"a byte order mark, as between two files that were joined",
		"Remove it, or name the files one after the other: -f FILE -f FILE"}
	LoneCR = &Problem{"a line break that programs read differently", "Save the file with LF or CRLF line ends."}
)

// EnvLinesError refuses a file for some of its lines. It contains nothing of their text.
type EnvLinesError struct {
	Path  string
	Lines []Entry // without their pairs, at least one
}

func (e *EnvLinesError) Error() string {
	return fmt.Sprintf("'%s' is refused and nothing is sent: %s", Printable(e.Path), inWords(e.Lines, " has ", " have ", ", "))
}

// Unwrap returns the [*Problem] of the first line.
func (e *EnvLinesError) Unwrap() error { return e.Lines[0].Problem }

// standardInput is the name of stdin among those of files.
const standardInput = "standard input"

// NothingToSetError says that no file sets a key.
type NothingToSetError struct{ Files []string }

func (e *NothingToSetError) Error() string {
	return "there is no KEY=VALUE in '" + Printable(strings.Join(e.Files, "' or '")) + "'"
}

// Unwrap returns [EnvEmpty] or [StdinEmpty].
func (e *NothingToSetError) Unwrap() error {
	if slices.Contains(e.Files, standardInput) {
		return StdinEmpty
	}
	return EnvEmpty
}

// maxNumbers is how many lines with the same problem are named.
const maxNumbers = 5

// inWords names the problems of lines, joined by separator, and each with its lines: "line 1", is and the problem, or
// "lines 1, 2", are and the problem.
func inWords(lines []Entry, is, are, separator string) string {
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
