package advice

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Words makes the sentences about a queue.
type Words struct {
	Track *track.Tracker
	Out   *term.Stream
	Login func() string // the command that logs in where this home is logged in
}

// Of is the table's line for an error of the queue, or of a file beside it.
func (w Words) Of(err error) Line { return w.of(err, PostHog()) }

// OfDelay is the same for a delivery that will be tried again; next is the sentence about when.
func (w Words) OfDelay(err error, next string) Line {
	server := PostHog()
	server.Again = nothingIsLost + next
	line := w.of(err, server)
	if line.Advice != "wait" {
		line.Do += " " + next
	}
	return line
}

func (w Words) of(err error, server Server) Line {
	off := &track.OffError{By: "arcade usage disable"}
	permission := &outbox.PermissionError{}
	var unreadable interface{ Code() int } // SQLite's
	if cause := outbox.FileTrouble(w.Track.FileOf(err), err); cause != nil {
		err = errors.Join(cause, err)
	}
	errors.As(err, &off)
	errors.As(err, &permission)
	delay, isDelay := errors.AsType[*outbox.Delay](err)
	unusable, isUnusable := errors.AsType[*outbox.Unusable](err)
	var line Line
	switch {
	case isDelay:
		line = server.line(delay.Code, nil, "", delay.Reason)
	case isUnusable:
		line = server.line(unusable.Code, nil, "", unusable.Reason)
	case permission.Owner != "":
		line = server.line(foreignOwner, nil, "", "")
	case errors.Is(err, outbox.ErrUnreadable) && errors.As(err, &unreadable):
		line = server.line("", err, "", fmt.Sprintf("SQLite's error %d", unreadable.Code()))
	case errors.Is(err, context.DeadlineExceeded):
		line = server.line("", outbox.ErrLocked, "", "")
	default:
		if line = server.line("", err, "", ""); line.Reason == "" {
			line = server.line(unforeseen, nil, "", err.Error())
		}
	}
	filled := strings.NewReplacer("{file}", w.Path(w.Track.FileOf(err)), "{owner}", permission.Owner, "{command}", permission.Remedy,
		"{switch}", off.By, "{login}", w.Login())
	line.What, line.Do = filled.Replace(line.What), filled.Replace(line.Do)
	return line
}

// Path shortens a path below the home directory, as shells do.
func (w Words) Path(path string) string {
	home := w.Track.Env("HOME")
	if rest, ok := strings.CutPrefix(path, home+string(filepath.Separator)); ok && home != "" {
		return filepath.Join("~", rest)
	}
	return path
}

// Headline is the sentence about this machine's identity; principal is its principal as it is shown.
func (w Words) Headline(s track.Snapshot, principal string) string {
	id := w.Out.Clip(s.AnonID, 9)
	switch {
	case s.AnonID == "":
		return "Nothing has been recorded yet."
	case s.PrincipalID != "":
		return fmt.Sprintf("You are %s (this home's id: %s).", w.Out.Paint(term.Bold, principal), id)
	case s.Refused:
		return fmt.Sprintf("You are logged in, but %s (this home's id: %s).", w.Of(track.ErrLoginRefused).What, id)
	case s.Asks:
		return fmt.Sprintf("You are logged in; as whom is asked with the next delivery (this home's id: %s).", id)
	default:
		return fmt.Sprintf("You are anonymous (id %s, which this home got %s).", id, term.Ago(s.Since, w.Track.Now()))
	}
}

// Outlook is the sentence about what waits and what happens next.
func (w Words) Outlook(s track.Snapshot, q *track.Queue) string {
	now, reason := w.Track.Now(), w.Track.Standstill(s)
	waiting := term.Count(s.Counts.Pending, "message waits", "messages wait")
	switch isDead := errors.Is(reason, track.ErrDead); {
	case errors.Is(reason, outbox.ErrOff), errors.Is(reason, track.ErrVariable):
		return w.Of(reason).Sentence()
	case s.Counts.Pending == 0 && reason != nil && !isDead:
		return "Nothing waits. " + w.Of(reason).Sentence()
	case s.Counts.Pending == 0 && s.Schedule.LastSuccess.IsZero():
		return "Nothing waits, and nothing was delivered yet."
	case s.Counts.Pending == 0:
		return "Nothing waits; last delivery: " + term.Ago(s.Schedule.LastSuccess, now) + "."
	case reason == nil && q.Flushing():
		return waiting + "; a flusher is delivering now."
	case reason == nil:
		return waiting + "; the next command delivers, or 'arcade usage flush' now."
	case errors.As(reason, new(*outbox.Delay)):
		why := w.OfDelay(reason, w.nextTry(s.Schedule, q))
		return waiting + ", since " + term.Clock(s.Schedule.FailingSince, now) + ": " + why.What + ". " + why.Do
	}
	why := w.Of(reason)
	return waiting + ": " + why.What + ". " + why.Do
}

// nextTry is the sentence about when, and by which command, delivery is tried again.
func (w Words) nextTry(schedule outbox.Schedule, q *track.Queue) string {
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

// Deaths is how many messages are dead, why, and what to do with them; "" for none.
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
		strings.Join(reasons, ", "), w.Of(track.ErrDead).Do)
}
