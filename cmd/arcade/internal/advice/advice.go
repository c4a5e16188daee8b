// Package advice is the one table of what stands in the way of recording and delivery, and of what to do
// about it.
package advice

import (
	"cmp"
	"strings"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
)

const elsewhere = "Move it away, or set ARCADE_WORK_DIR to another directory."

// Issues is where people report what should not be.
const Issues = "https://github.com/ArcadeAI/arcade-cli/issues"

// Table is all of it.
func Table() []Line {
	return append(postHog.lines(), []Line{
		{"server", "wait", "PostHog has trouble of its own", nothingToDo},
		{"too_large", "wait", "PostHog does not take that much at once", nothingIsLost + "the next delivery sends less at once."},
		{"time_up", "take_longer", "the time was not enough", "Go on with 'arcade usage flush --timeout 60s'."},
		{"sink", "report", "arcade has sent something wrong", "Please report it at " + Issues + "."},
		{"quota", "wait", "PostHog's quota is used up", nothingToDo},
		{"retry_after", "wait", "PostHog asks to be left alone for a while", nothingToDo},
		{"address", "correct_host", "the address of PostHog cannot be right",
			"Set ARCADE_USAGE_HOST to one like https://us.i.posthog.com, or remove it."},
		{"key", "correct_key", "PostHog does not take the key", "Correct ARCADE_USAGE_KEY, or remove it."},
		{"no_key", "set_key", "no PostHog key is set, so nothing is sent",
			"Set ARCADE_USAGE_KEY; only release builds bring a key along."},

		{track.ReasonLoginRefused, "log_in", "this key is not valid any more", "Run 'arcade login'."},
		{track.ReasonLoginUnknown, "wait", "Arcade Cloud has not said yet who you are", "The next delivery asks again."},
		{track.ReasonDead, "look_at_dead", "PostHog has refused messages for good",
			"'arcade usage inspect --state dead' shows them, 'arcade usage retry' sends them once more."},
		{track.ReasonBusy, "try_again", "another flusher was at work until the time was up",
			"Run 'arcade usage flush' again, with a longer --timeout."},
		{track.ReasonDisabled, "enable", "tracking is off ({switch}): nothing is recorded or sent",
			"'arcade usage enable' switches it on."},
		{track.ReasonVariable, "unset_variable", "tracking is off ({switch}): nothing is recorded or sent",
			"Without {switch} it is on, unless 'arcade usage disable' was run."},

		{track.ReasonFull, "free_space", "the disk is full",
			"Free some space: until then nothing is recorded or delivered. What waits is kept."},
		{track.ReasonReadOnly, "make_writable", "the disk is read-only",
			"Make it writable, or set ARCADE_WORK_DIR to a directory that is."},
		{track.ReasonPermission, "permit", "you may not use {file}", "Make it readable and writable for you, or set ARCADE_WORK_DIR."},
		{track.ReasonOwner, "change_owner", "{file} belongs to {owner}", "Run '{command}'."},
		{track.ReasonNotDirectory, "move_away", "{file} is not a directory", elsewhere},
		{track.ReasonNotFile, "move_away", "{file} is not a file", elsewhere},
		{track.ReasonForeign, "move_away", "{file} is another program's database", elsewhere},
		{track.ReasonNewer, "update", "the usage database was written by a newer arcade",
			"Update arcade. Until then this version neither records nor delivers."},
		{track.ReasonDamaged, "wait", "the usage database is damaged",
			"The next recorded command replaces it, and keeps what can be read."},
		{track.ReasonLocked, "try_again", "another process holds the usage database",
			"Try again; if it stays so, end the process that has {file} open."},
		{track.ReasonNoProcess, "flush", "no process can be started in the background",
			"Run 'arcade usage flush' to deliver what waits."},
		{track.ReasonDatabase, "report", "the usage database cannot be used", "Please report it at " + Issues + "."},
	}...)
}

// For looks a reason up and fills it in, with the path of a file as shown makes it. An unknown one, such
// as a later version has left in the database, is shown as it is.
func For(reason track.Reason, shown func(path string) string) Line {
	found := Line{Reason: reason.Code, Advice: "wait", What: cmp.Or(reason.Detail, "nobody knows why"), Do: nothingToDo}
	for _, line := range Table() {
		if line.Reason == reason.Code {
			found = line
			if seen := detailOf(reason.Code, reason.Detail); seen != "" {
				found.What += " (" + seen + ")"
			}
		}
	}
	filled := strings.NewReplacer("{file}", shown(reason.Path), "{owner}", reason.Owner,
		"{command}", reason.Remedy, "{switch}", reason.Detail)
	found.What, found.Do = filled.Replace(found.What), filled.Replace(found.Do)
	return found
}
