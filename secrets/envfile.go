package secrets

import (
	"fmt"
	"strconv"
	"strings"
)

// EnvFile is what a .env file holds, or several one after the other.
type EnvFile struct {
	Files []string // as errors call them, in order
	// Entries are in the order in which their keys first appear. Of a key that is set twice
	// the last value counts, as in a shell.
	Entries []Entry
	// Skipped are the lines that hold no secret to send, in the order of the files.
	Skipped []Skip
}

// Entry is one secret of a .env file.
type Entry struct {
	Pair
	File string
	Line int // where it begins, from 1
}

// Skip is a line of a .env file that is passed over.
type Skip struct {
	File   string
	Line   int    // from 1
	Key    string // "" where the line has none
	Reason SkipReason
}

// SkipReason is why a line is passed over, in fixed words, and the name of a file.
type SkipReason string

// The reasons of a [Skip]; the other one is [SetAgainIn].
const (
	NoEquals    SkipReason = "without ="
	NothingInIt SkipReason = "without a value"
	SetAgain    SkipReason = "set again further down"
)

// SetAgainIn is the reason for a line that a later file beats.
func SetAgainIn(file string) SkipReason { return SkipReason("set again in '" + Printable(file) + "'") }

// Join reads the files one after the other: of a key that several set the last value counts.
func Join(files ...EnvFile) (all EnvFile) {
	entries := make(map[string]int)
	for _, file := range files {
		all.Files, all.Skipped = append(all.Files, file.Files...), append(all.Skipped, file.Skipped...)
		for _, entry := range file.Entries {
			all.set(entry, entries)
		}
	}
	return all
}

// set adds an entry, or puts it in the place of an earlier one with its key; entries has their indexes.
func (f *EnvFile) set(entry Entry, entries map[string]int) {
	i, again := entries[entry.Key]
	if !again {
		entries[entry.Key] = len(f.Entries)
		f.Entries = append(f.Entries, entry)
		return
	}
	earlier, reason := f.Entries[i], SetAgain
	if earlier.File != entry.File {
		reason = SetAgainIn(entry.File)
	}
	f.Skipped = append(f.Skipped, Skip{earlier.File, earlier.Line, earlier.Key, reason})
	f.Entries[i] = entry
}

// Pairs are the entries' keys and values, in order.
func (f EnvFile) Pairs() []Pair {
	pairs := make([]Pair, len(f.Entries))
	for i, entry := range f.Entries {
		pairs[i] = entry.Pair
	}
	return pairs
}

// SkippedInWords names the skipped lines of a file by their numbers and reasons, "" if there are none.
func (f EnvFile) SkippedInWords(file string) string {
	var reasons []SkipReason
	lines := make(map[SkipReason][]int)
	for _, skip := range f.Skipped {
		if skip.File != file {
			continue
		}
		if lines[skip.Reason] == nil {
			reasons = append(reasons, skip.Reason)
		}
		lines[skip.Reason] = append(lines[skip.Reason], skip.Line)
	}
	parts := make([]string, len(reasons))
	for i, reason := range reasons {
		parts[i] = numbered(lines[reason]) + " " + string(reason)
	}
	return strings.Join(parts, "; ")
}

// Why a .env file cannot be used.
var (
	EnvMissing    = &Problem{"there is no such file", "Name one with --env-file."}
	EnvDirectory  = &Problem{"it is a directory", "Name the file in it with --env-file."}
	EnvUnreadable = &Problem{"it cannot be read", "Check its permissions."}
	EnvNotText    = &Problem{"it is not UTF-8 text", "Save it as UTF-8."}
	EnvTooLarge   = &Problem{"it is larger than 1 MB", "Name a file with nothing but secrets in it."}
)

// EnvFileError says that a .env file cannot be used.
type EnvFileError struct {
	Path    string
	Problem *Problem
}

func (e *EnvFileError) Error() string {
	return fmt.Sprintf("cannot use '%s': %s", Printable(e.Path), e.Problem.What)
}

// Unwrap is the [*Problem].
func (e *EnvFileError) Unwrap() error { return e.Problem }

const pipeItIn = "or pipe it in: arcade secret set KEY=- < file"

// What an [EnvLine] can be wrong about: what the line has.
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
	CRInQuotes = &Problem{"a line break that programs read differently", "Save the file with LF or CRLF line ends."}
)

// EnvLine is a line that shows that a file is not what it was taken for.
type EnvLine struct {
	Line    int // from 1
	Problem *Problem
}

// EnvLinesError says that a file is refused because of some of its lines. It holds nothing of
// their text.
type EnvLinesError struct {
	Path  string
	Lines []EnvLine // in the order of the file, at least one
}

// maxNamed is how many lines an error names for each problem.
const maxNamed = 5

func (e *EnvLinesError) Error() string {
	var found []*Problem
	lines := make(map[*Problem][]int)
	for _, line := range e.Lines {
		if lines[line.Problem] == nil {
			found = append(found, line.Problem)
		}
		lines[line.Problem] = append(lines[line.Problem], line.Line)
	}
	parts := make([]string, len(found))
	for i, problem := range found {
		verb := " has "
		if len(lines[problem]) > 1 {
			verb = " have "
		}
		parts[i] = numbered(lines[problem]) + verb + problem.What
	}
	return fmt.Sprintf("'%s' is refused and nothing is sent: %s", Printable(e.Path), strings.Join(parts, ", "))
}

// Unwrap is the [*Problem] of the first line.
func (e *EnvLinesError) Unwrap() error { return e.Lines[0].Problem }

// numbered names lines by their numbers, the first few of many.
func numbered(lines []int) string {
	words := make([]string, min(len(lines), maxNamed))
	for i := range words {
		words[i] = strconv.Itoa(lines[i])
	}
	text := "line "
	if len(lines) > 1 {
		text = "lines "
	}
	text += strings.Join(words, ", ")
	if more := len(lines) - len(words); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
