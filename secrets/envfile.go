package secrets

import (
	"fmt"
	"strconv"
	"strings"
)

// EnvFile is the content of a .env file, or of several one after the other.
type EnvFile struct {
	Files []string // as errors call them, in order
	// Entries are in the order in which their keys first appear. The last value of a key counts, as in a shell.
	Entries []Entry
	// Skipped are the lines without a secret to send, in the order of the files.
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

// SkipReason says why a line is passed over, in fixed words and the name of a file.
type SkipReason string

// The reasons of a [Skip]; the other one is [SetAgainIn].
const (
	NoEquals    SkipReason = "without ="
	NothingInIt SkipReason = "without a value"
	SetAgain    SkipReason = "set again further down"
)

// SetAgainIn is the reason for a line whose key a later file sets.
func SetAgainIn(file string) SkipReason { return SkipReason("set again in '" + Printable(file) + "'") }

// Join puts files one after the other: the last value of a key counts.
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

// SkippedInWords names the skipped lines of a file by their numbers and reasons, "" for none.
func (f EnvFile) SkippedInWords(file string) string {
	var remarks []remark
	for _, skip := range f.Skipped {
		if skip.File == file {
			remarks = append(remarks, remark{skip.Line, string(skip.Reason)})
		}
	}
	return inWords(remarks, " ", " ", "; ")
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
	CRInQuotes = &Problem{"a line break that programs read differently", "Save the file with LF or CRLF line ends."}
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
	remarks := make([]remark, len(e.Lines))
	for i, line := range e.Lines {
		remarks[i] = remark{line.Line, line.Problem.What}
	}
	return fmt.Sprintf("'%s' is refused and nothing is sent: %s", Printable(e.Path), inWords(remarks, " has ", " have ", ", "))
}

// Unwrap is the [*Problem] of the first line.
func (e *EnvLinesError) Unwrap() error { return e.Lines[0].Problem }

// remark is what there is to say of one line.
type remark struct {
	line int
	what string
}

// maxNumbers is how many lines with the same remark are named.
const maxNumbers = 5

// inWords joins remarks by separator, the same one of several lines once: "line 1", is and it, or "lines 1, 2",
// are and it.
func inWords(remarks []remark, is, are, separator string) string {
	var order []string
	numbers := make(map[string][]string)
	for _, r := range remarks {
		if numbers[r.what] == nil {
			order = append(order, r.what)
		}
		numbers[r.what] = append(numbers[r.what], strconv.Itoa(r.line))
	}
	for i, what := range order {
		lines := numbers[what]
		named := strings.Join(lines[:min(len(lines), maxNumbers)], ", ")
		switch more := len(lines) - maxNumbers; {
		case more > 0:
			order[i] = fmt.Sprintf("lines %s and %d more", named, more) + are + what
		case len(lines) > 1:
			order[i] = "lines " + named + are + what
		default:
			order[i] = "line " + named + is + what
		}
	}
	return strings.Join(order, separator)
}
