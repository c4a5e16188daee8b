package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
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

	keepsToAnon bool // for a person: events are the anonymous id's, also where the context is not known
}

// FileProblem is why a file cannot be read, in words of AdviceTable.
type FileProblem struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
	Advice string `json:"advice"`

	sentence string // for a person
}

func (a *App) status(ctx context.Context, asJSON bool) error {
	q, err := a.Track.Queue()
	if err != nil {
		return err
	}
	defer q.Close()
	s, err := q.Snapshot(ctx, outbox.Filter{Limit: 1})
	if err == nil && a.Track.Off(s.Consent) == nil {
		err = q.Check(ctx)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	problem := err
	st := a.newStatus(s, q, problem)
	if asJSON {
		err = a.Out.JSON(st)
	} else {
		const indent = 15 // the widest label, its colon and a blank
		err = a.print(a.labelledLines(a.statusLines(s, st, q, problem), indent))
	}
	if err == nil && st.Tracking && problem != nil {
		err = failed("would not record", "", "") // it has been said
	}
	return err
}

// newStatus makes what programs are told; problem is what the next command could not record for.
func (a *App) newStatus(s track.Snapshot, q *track.Queue, problem error) Status {
	now, missed, off := a.Track.Now(), q.Missed(s), a.Track.Off(s.Consent)
	used, unread := a.Track.Credential() // a login that cannot be read may be of a self-hosted context
	copies, _ := q.Copies()              // a directory that cannot be read is the problem already
	st := Status{
		Tracking: off == nil, DecidedBy: cmp.Or(a.Track.Switches().By, "default"),
		AnonID: s.AnonID, PrincipalID: orNull(s.PrincipalID),
		Context: orNull(a.Track.ContextName()), SelfHosted: used.Apart && unread == nil,
		keepsToAnon: used.Apart && (used.FromFile || unread == nil),
		Pending:     s.Counts.Pending, Delivered: s.Counts.Delivered, Dead: s.Counts.Dead,
		Dropped: s.Counts.Dropped, Erased: s.Counts.Erased,
		Host: a.sentTo(), KeySet: a.Track.HasKey(),
		LastDelivery: orNull(term.RFC3339(s.Schedule.LastSuccess)), NextAttempt: orNull(term.RFC3339(s.Schedule.Next(now))),
		Failures: s.Schedule.Failures, LastError: orNull(s.Schedule.LastError),
		Deaths: append([]track.Death{}, s.Deaths...), LoginRefused: s.Refused,
		Flusher: q.Flushing(), Waiting: s.Schedule.Waiting(now), File: q.Path(), SizeBytes: q.Bytes(), Schema: s.Schema,
		LastMissed: orNull(term.RFC3339(missed.Last)), NotRecorded: missed.Up - missed.NotStarted, NotStarted: missed.NotStarted,
		Copies: append([]string{}, copies...), FileProblems: []FileProblem{},
	}
	if off != nil {
		st.DecidedBy = off.By
	}
	reason := a.Track.Standstill(s)
	switch {
	case problem != nil:
		reason = problem
	case reason == nil && missed.NotStarted > 0 && missed.NotStarted == missed.Up:
		reason = outbox.ErrNoProcess
	}
	if reason != nil {
		why := a.words().Of(reason)
		st.Reason, st.Advice = &why.Reason, &why.Advice
		if problem != nil {
			st.DatabaseError = &why.What
		}
	}
	if problem == nil && st.Tracking {
		for _, trouble := range q.FileTroubles() {
			why := a.words().Of(trouble)
			st.FileProblems = append(st.FileProblems, FileProblem{a.Track.FileOf(trouble), why.Reason, why.Advice, why.Sentence()})
		}
	}
	return st
}

// statusLines are the labels and values for people.
func (a *App) statusLines(s track.Snapshot, st Status, q *track.Queue, problem error) (lines [][2]string) {
	add := func(label, value string) { lines = append(lines, [2]string{label, value}) }
	if problem != nil {
		add("Problem", a.words().Of(problem).Sentence())
	}
	add("Tracking", either(st.Tracking, "on", "off")+" ("+st.DecidedBy+")")
	if given := q.Missed(s); problem == nil && st.Tracking && given.Up > 0 {
		add("Missed", a.missed(given))
	}
	for _, file := range st.FileProblems {
		add("Problem", file.sentence)
	}
	path := a.words().Path(st.File)
	if len(st.Copies) > 0 {
		var shown []string
		for _, copy := range st.Copies {
			shown = append(shown, a.words().Path(copy))
		}
		add("Copies", term.Count(len(shown), "damaged database is kept", "damaged databases are kept")+": "+strings.Join(shown, ", ")+
			". 'arcade usage clear' erases them, and all messages.")
	}
	if problem != nil && st.Schema == 0 { // nothing could be read
		add("File", path)
		return lines
	}
	add("Identity", a.words().Headline(s, s.PrincipalID))
	messages := fmt.Sprintf("%d pending, %d delivered lately, %d dead", st.Pending, st.Delivered, st.Dead)
	if st.Dropped > 0 { // almost always 0, as the next
		messages += fmt.Sprintf(", %d dropped by caps", st.Dropped)
	}
	if st.Erased > 0 {
		messages += fmt.Sprintf(", %d erased", st.Erased)
	}
	add("Messages", messages)
	const apart = ": events carry this home's anonymous id alone, and arcade.dev is asked nothing"
	switch {
	case st.SelfHosted && st.Context != nil:
		add("Context", *st.Context+", self-hosted"+apart)
	case st.keepsToAnon:
		add("Context", a.unnamedContext()+apart)
	case st.Context != nil:
		add("Context", *st.Context)
	}
	add("Dead", a.words().Deaths(s))
	flusher := either(st.Waiting, "waiting for the next try", "not running")
	add("Sent to", st.Host)
	add("Key", either(st.KeySet, "set", "not set: events are kept, not sent"))
	add("Last delivery", term.Ago(s.Schedule.LastSuccess, a.Track.Now()))
	add("Next", a.next(s, q))
	add("Flusher", either(st.Flusher, "running", flusher))
	add("File", path+" ("+either(st.SizeBytes > 0, term.Size(st.SizeBytes), "not there yet")+")")
	return lines
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
func (a *App) missed(given outbox.Given) string {
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
		what += " " + a.words().Of(outbox.ErrNoProcess).Do
	}
	return what
}
