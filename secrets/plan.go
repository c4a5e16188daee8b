package secrets

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Skip is a line of a .env file that is passed over.
type Skip struct {
	Line   int    // from 1
	Key    string // "" where the line has none
	Reason SkipReason
}

// SkipReason is why a line is passed over, in fixed words.
type SkipReason string

// The reasons of a [Skip].
const (
	NoEquals    SkipReason = "without ="
	NothingInIt SkipReason = "without a value"
	SetAgain    SkipReason = "set again further down"
)

// SkippedInWords names the skipped lines by their numbers and reasons, "" if there are none.
func (f EnvFile) SkippedInWords() string {
	var parts []string
	for _, reason := range []SkipReason{NoEquals, NothingInIt, SetAgain} {
		var lines []int
		for _, skip := range f.Skipped {
			if skip.Reason == reason {
				lines = append(lines, skip.Line)
			}
		}
		if lines != nil {
			parts = append(parts, numbered(lines)+" "+string(reason))
		}
	}
	return strings.Join(parts, "; ")
}

// Planned is what would become of one line of a file, or of one argument. It holds no value.
type Planned struct {
	Line    int    // of the file, from 1; 0 for an argument
	Key     string // "" for a line without one
	Length  int    // of the value, in characters; 0 when skipped
	Skipped SkipReason
}

// Plan is what Set would send and what would be skipped, in the order of the file.
func (f EnvFile) Plan() []Planned {
	var plan []Planned
	for _, entry := range f.Entries {
		plan = append(plan, Planned{Line: entry.Line, Key: entry.Key, Length: utf8.RuneCountInString(entry.Value)})
	}
	for _, skip := range f.Skipped {
		plan = append(plan, Planned{Line: skip.Line, Key: skip.Key, Skipped: skip.Reason})
	}
	slices.SortStableFunc(plan, func(a, b Planned) int { return a.Line - b.Line })
	return plan
}

// PlanOf is the plan for arguments, in their order.
func PlanOf(pairs []Pair) []Planned {
	plan := make([]Planned, len(pairs))
	for i, pair := range pairs {
		plan[i] = Planned{Key: pair.Key, Length: utf8.RuneCountInString(pair.Value)}
	}
	return plan
}
