package secrets

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// Planned is what would become of one line of a file, or of one argument. It holds no value.
type Planned struct {
	File    string // "" for an argument
	Line    int    // of the file, from 1; 0 for an argument
	Key     string // "" for a line without one
	Length  int    // of the value, in characters; 0 when skipped
	Skipped SkipReason
}

// Plan is what Set would send and what would be skipped, in the order of the files and their lines.
func (f EnvFile) Plan() []Planned {
	plan := make([]Planned, 0, len(f.Entries)+len(f.Skipped))
	for _, entry := range f.Entries {
		plan = append(plan, Planned{File: entry.File, Line: entry.Line, Key: entry.Key, Length: utf8.RuneCountInString(entry.Value)})
	}
	for _, skip := range f.Skipped {
		plan = append(plan, Planned{File: skip.File, Line: skip.Line, Key: skip.Key, Skipped: skip.Reason})
	}
	slices.SortStableFunc(plan, func(a, b Planned) int {
		return cmp.Or(slices.Index(f.Files, a.File)-slices.Index(f.Files, b.File), a.Line-b.Line)
	})
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
