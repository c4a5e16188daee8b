package advice

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
)

// Words tell a person how a queue stands.
type Words struct {
	Track *track.Tracker
	Out   *term.Stream
}

// Of is what the table has to say of a reason.
func (w Words) Of(reason track.Reason) Line { return For(reason, w.Path) }

// Path shortens a path below the home directory, as shells do.
func (w Words) Path(path string) string {
	home := w.Track.Env("HOME")
	if rest, ok := strings.CutPrefix(path, home+string(filepath.Separator)); ok && home != "" {
		return filepath.Join("~", rest)
	}
	return path
}

// Headline says who this machine is for PostHog; principal is its principal as it is to be shown.
func (w Words) Headline(s track.Snapshot, principal string) string {
	id := w.Out.Clip(s.AnonID, 9)
	switch {
	case s.AnonID == "":
		return "Nothing has been recorded yet."
	case s.PrincipalID != "":
		return fmt.Sprintf("You are %s (this home's id: %s).", w.Out.Paint(term.Bold, principal), id)
	case s.Refused:
		return fmt.Sprintf("You are logged in, but %s (this home's id: %s).", w.Of(track.Reason{Code: track.ReasonLoginRefused}).What, id)
	case s.Asks:
		return fmt.Sprintf("You are logged in; as whom is asked with the next delivery (this home's id: %s).", id)
	default:
		return fmt.Sprintf("You are anonymous (id %s, which this home got %s).", id, term.Ago(s.Since, w.Track.Now()))
	}
}

// Outlook says what is waiting and what happens next.
func (w Words) Outlook(s track.Snapshot, q *track.Queue) string {
	now, reason := w.Track.Now(), w.Track.Standstill(s)
	why := w.Of(reason)
	waiting := term.Count(s.Counts.Pending, "message waits", "messages wait")
	switch {
	case reason.Code == track.ReasonDisabled, reason.Code == track.ReasonVariable:
		return why.Sentence()
	case s.Counts.Pending == 0 && reason.Code != "" && reason.Code != track.ReasonDead:
		return "Nothing waits. " + why.Sentence()
	case s.Counts.Pending == 0 && s.Schedule.LastSuccess.IsZero():
		return "Nothing waits, and nothing was delivered yet."
	case s.Counts.Pending == 0:
		return "Nothing waits; last delivery: " + term.Ago(s.Schedule.LastSuccess, now) + "."
	case reason.Code == "" && q.Flushing():
		return waiting + "; a flusher is delivering now."
	case reason.Code == "":
		return waiting + "; the next command delivers, or 'arcade usage flush' now."
	case !s.Schedule.FailingSince.IsZero() && reason.Code == s.Schedule.LastCode:
		since := "since " + term.Clock(s.Schedule.FailingSince, now) + ": "
		return waiting + ", " + since + why.What + ". " + why.Then(w.nextTry(s.Schedule, q))
	default:
		return waiting + ": " + why.What + ". " + why.Do
	}
}

// nextTry says when delivery is tried again, and by whom.
func (w Words) nextTry(schedule track.Schedule, q *track.Queue) string {
	now := w.Track.Now()
	next := schedule.Next(now)
	left := term.Span(max(next.Sub(now), time.Second))
	switch {
	case q.Flushing():
		return "It is being tried now."
	case next.IsZero():
		return "The next command tries again."
	case schedule.Waiting(now):
		return "Next try in " + left + "."
	default:
		return "The first command after " + left + " tries again."
	}
}

// Deaths says how many messages are dead, and why, and what to do with them; "" for none.
func (w Words) Deaths(s track.Snapshot) string {
	if s.Counts.Dead == 0 {
		return ""
	}
	var reasons []string
	for _, death := range s.Deaths {
		reason := death.Reason
		if len(s.Deaths) > 1 {
			reason = fmt.Sprintf("%d %s", death.Messages, reason)
		}
		reasons = append(reasons, reason)
	}
	return fmt.Sprintf("%s: %s. %s", term.Count(s.Counts.Dead, "message is dead", "messages are dead"),
		strings.Join(reasons, ", "), w.Of(track.Reason{Code: track.ReasonDead}).Do)
}
