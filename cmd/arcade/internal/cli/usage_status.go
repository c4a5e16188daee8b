package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/advice"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

func (a *App) newUsageStatus() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show whether usage is recorded, where it goes and what is next",
		Long: `Show whether usage is recorded, where it goes, what waits and what is next. All
that the next command needs to record is tried, and undone: with tracking on,
the exit code is 1 when the next command could not record.`,
		Example: "  arcade usage status\n  arcade usage status --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.status(cmd.Context(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the status as JSON")
	return cmd
}

// Status is what `usage status --json` prints. Times are UTC, null when there is none.
type Status struct {
	Tracking      bool          `json:"tracking"`
	DecidedBy     string        `json:"decided_by"`
	AnonID        string        `json:"anon_id"`
	PrincipalID   *string       `json:"linked_principal_id"`
	Context       *string       `json:"context"`     // of the login in force; null when there is only one
	SelfHosted    bool          `json:"self_hosted"` // so events are the anonymous id's
	Pending       int           `json:"pending"`
	Delivered     int           `json:"delivered"`
	Dead          int           `json:"dead"`
	Dropped       int           `json:"dropped"`
	Erased        int           `json:"erased"`
	Host          string        `json:"host"`
	KeySet        bool          `json:"key_set"`
	LastDelivery  *string       `json:"last_delivery"`
	NextAttempt   *string       `json:"next_attempt"` // null: with the next command
	Failures      int           `json:"failures"`
	LastError     *string       `json:"last_error"`
	Reason        *string       `json:"reason"` // why something stands still, one of AdviceTable; null: nothing does
	Advice        *string       `json:"advice"` // what to do about it
	Deaths        []track.Death `json:"dead_reasons"`
	LoginRefused  bool          `json:"login_refused"`
	Flusher       bool          `json:"flusher_running"`
	Waiting       bool          `json:"flusher_waiting"` // for a back-off to be over
	File          string        `json:"file"`
	SizeBytes     int64         `json:"size_bytes"`     // with the WAL
	Schema        int           `json:"schema"`         // user_version: identity's version in thousands, and the queue's
	DatabaseError *string       `json:"database_error"` // why the next command could not record
	LastMissed    *string       `json:"last_missed"`    // when a command could not record, or start a flusher, last
	NotRecorded   int           `json:"not_recorded"`   // events, within a week
	NotStarted    int           `json:"not_started"`    // how often no flusher could be started, within a week
	Copies        []string      `json:"copies"`         // of damaged databases, oldest first: paths
	// FileProblems are files shared with the Python CLI that cannot be read.
	FileProblems []FileProblem `json:"file_problems"`

	missed  track.Given   // of LastMissed
	problem string        // the same as DatabaseError with what to do, for a person
	files   []advice.Line // of FileProblems
}

// FileProblem is why a file cannot be read, in words of AdviceTable.
type FileProblem struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
	Advice string `json:"advice"`
}

func (a *App) status(ctx context.Context, asJSON bool) error {
	q, err := a.Track.Queue()
	if err != nil {
		return err
	}
	defer q.Close()
	s, err := q.Snapshot(ctx, track.Filter{Limit: 1})
	if err == nil && a.Track.Off(s.Consent) == nil {
		err = q.Check(ctx)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	st := a.newStatus(s, q, err)
	if asJSON {
		err = a.Out.JSON(st)
	} else {
		err = a.printStatus(a.statusLines(s, st, q))
	}
	if err == nil && st.Tracking && st.DatabaseError != nil {
		err = failed("would not record", "", "") // it has been said
	}
	return err
}

func (a *App) printStatus(lines [][2]string) error {
	const indent = 15 // the widest label, its colon and a blank
	for _, line := range lines {
		if err := a.print(a.labelled(line[0], line[1], indent)); err != nil {
			return err
		}
	}
	return nil
}

// statusLines are the labels and values for people.
func (a *App) statusLines(s track.Snapshot, st Status, q *track.Queue) [][2]string {
	tracking, key, flusher := "off", "not set: events are kept, not sent", "not running"
	if st.Tracking {
		tracking = "on"
	}
	if st.KeySet {
		key = "set"
	}
	switch {
	case st.Flusher:
		flusher = "running"
	case st.Waiting:
		flusher = "waiting for the next try"
	}
	tracking += " (" + st.DecidedBy + ")"
	lines := [][2]string{{"Tracking", tracking}}
	if st.DatabaseError != nil {
		lines = append([][2]string{{"Problem", st.problem}}, lines...)
	} else if st.Tracking && st.missed.Up > 0 {
		lines = append(lines, [2]string{"Missed", a.missed(st.missed)})
	}
	for _, why := range st.files {
		lines = append(lines, [2]string{"Problem", why.Sentence()})
	}
	file := a.words().Path(st.File) + " (not there yet)"
	if st.SizeBytes > 0 {
		file = fmt.Sprintf("%s (%s)", a.words().Path(st.File), term.Size(st.SizeBytes))
	}
	if len(st.Copies) > 0 {
		lines = append(lines, [2]string{"Copies", a.copies(st.Copies)})
	}
	if st.DatabaseError != nil && st.Schema == 0 { // nothing could be read
		return append(lines, [2]string{"File", a.words().Path(st.File)})
	}
	lines = append(lines,
		[2]string{"Identity", a.words().Headline(s, s.PrincipalID)},
		[2]string{"Messages", messagesInWords(st)})
	if st.Context != nil || st.SelfHosted {
		lines = append(lines, [2]string{"Context", a.contextInWords(st)})
	}
	if dead := a.words().Deaths(s); dead != "" {
		lines = append(lines, [2]string{"Dead", dead})
	}
	return append(lines,
		[2]string{"Sent to", st.Host},
		[2]string{"Key", key},
		[2]string{"Last delivery", term.Ago(s.Schedule.LastSuccess, a.Track.Now())},
		[2]string{"Next", a.next(s, q)},
		[2]string{"Flusher", flusher},
		[2]string{"File", file})
}

// contextInWords also says what a self-hosted context means for events.
func (a *App) contextInWords(st Status) string {
	name := secrets.Printable(valueOr(st.Context, a.unnamedContext()))
	if !st.SelfHosted {
		return name
	}
	if st.Context != nil {
		name += ", self-hosted"
	}
	return name + ": events carry this home's anonymous id alone, and arcade.dev is asked nothing"
}

// copies names the copies of damaged databases, and what erases them.
func (a *App) copies(paths []string) string {
	shown := make([]string, len(paths))
	for i, path := range paths {
		shown[i] = a.words().Path(path)
	}
	return term.Count(len(paths), "damaged database is kept", "damaged databases are kept") + ": " + strings.Join(shown, ", ") +
		". 'arcade usage clear' erases them, and all messages."
}

// next is the outlook, with what to do about a refused login if that is not what it is about.
func (a *App) next(s track.Snapshot, q *track.Queue) string {
	text := a.words().Outlook(s, q)
	if s.Refused && !errors.Is(a.Track.Standstill(s), track.ErrLoginRefused) {
		text += " " + a.words().Of(track.ErrLoginRefused).Sentence()
	}
	return text
}

// missed says what commands gave up, why, and since when.
func (a *App) missed(given track.Given) string {
	var parts []string
	if n := given.Up - given.NotStarted; n > 0 {
		parts = append(parts, term.Count(n, "event was not recorded", "events were not recorded"))
	}
	if n := given.NotStarted; n > 0 {
		parts = append(parts, term.Count(n, "time no flusher could be started", "times no flusher could be started"))
	}
	what := strings.Join(parts, ", and ")
	if given.Reason != "" {
		what += ": " + given.Reason
	}
	what += "; first " + term.Ago(given.Since, a.Track.Now()) + ", last " + term.Ago(given.Last, a.Track.Now()) + "."
	if given.NotStarted > 0 {
		what += " " + a.words().Of(track.ErrNoProcess).Do
	}
	return what
}

// messagesInWords leaves out counts that are almost always 0.
func messagesInWords(st Status) string {
	text := fmt.Sprintf("%d pending, %d delivered lately, %d dead", st.Pending, st.Delivered, st.Dead)
	if st.Dropped > 0 {
		text += fmt.Sprintf(", %d dropped by caps", st.Dropped)
	}
	if st.Erased > 0 {
		text += fmt.Sprintf(", %d erased", st.Erased)
	}
	return text
}

func (a *App) newStatus(s track.Snapshot, q *track.Queue, problem error) Status {
	missed := q.Missed(s)
	copies, _ := q.Copies() // a directory that cannot be read is the problem already
	st := Status{
		Tracking: a.Track.Off(s.Consent) == nil, DecidedBy: a.decidedBy(s),
		AnonID: s.AnonID, PrincipalID: orNull(s.PrincipalID),
		Context: orNull(a.Track.ContextName()), SelfHosted: a.selfHosted(),
		Pending: s.Counts.Pending, Delivered: s.Counts.Delivered, Dead: s.Counts.Dead,
		Dropped: s.Counts.Dropped, Erased: s.Counts.Erased,
		Host: a.sentTo(), KeySet: a.Track.HasKey(),
		LastDelivery: orNull(term.RFC3339(s.Schedule.LastSuccess)), NextAttempt: orNull(term.RFC3339(s.Schedule.Next(a.Track.Now()))),
		Failures: s.Schedule.Failures, LastError: orNull(s.Schedule.LastError),
		Flusher: q.Flushing(), Waiting: s.Schedule.Waiting(a.Track.Now()), File: q.Path(), SizeBytes: q.Bytes(), Schema: s.Schema,
		Deaths: append([]track.Death{}, s.Deaths...), LoginRefused: s.Refused,
		FileProblems: []FileProblem{}, Copies: append([]string{}, copies...),
		LastMissed: orNull(term.RFC3339(missed.Last)), NotRecorded: missed.Up - missed.NotStarted, NotStarted: missed.NotStarted, missed: missed,
	}
	if problem == nil && st.Tracking {
		for _, trouble := range q.FileTroubles() {
			why := a.words().Of(trouble)
			st.files = append(st.files, why)
			st.FileProblems = append(st.FileProblems, FileProblem{a.Track.FileOf(trouble), why.Reason, why.Advice})
		}
	}
	reason := a.Track.Standstill(s)
	switch {
	case problem != nil:
		reason = problem
	case reason == nil && missed.NotStarted > 0 && missed.NotStarted == missed.Up:
		reason = track.ErrNoProcess
	}
	if reason != nil {
		why := a.words().Of(reason)
		st.Reason, st.Advice = &why.Reason, &why.Advice
		if problem != nil {
			st.DatabaseError, st.problem = &why.What, why.Sentence()
		}
	}
	return st
}

func (a *App) decidedBy(s track.Snapshot) string {
	switch by := a.Track.Switches().By; {
	case by != "":
		return by
	case s.Consent.On:
		return "default"
	default:
		return "arcade usage disable"
	}
}
