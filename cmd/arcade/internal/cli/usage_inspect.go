package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// defaultInspectLimit is how many messages a person is shown: about two screens.
const defaultInspectLimit = 50

func (a *App) newUsageInspect() *cobra.Command {
	var state string
	var limit int
	var asJSON, follow bool
	states := []string{string(outbox.Pending), string(outbox.Delivered), string(outbox.Dead), "all"}
	cmd := &cobra.Command{
		Use:   "inspect [SEQ|UUID]",
		Short: "Show what was recorded and what became of it",
		Long: `Show the messages that are kept, the newest last, and what became of them:
pending, delivered, or dead (refused by PostHog for good). With a number or a
uuid, print that message exactly as it goes over the wire.

Looking changes nothing. In a pipe, tabs separate the columns and times are in
UTC.`,
		Example: "  arcade usage inspect\n  arcade usage inspect --state pending --limit 10\n" +
			"  arcade usage inspect 7\n  arcade usage inspect --follow",
		SuggestFor: []string{"list", "show"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return wrongUsage(cmd, "too many arguments", "give one number or uuid at most")
			case !slices.Contains(states, state):
				return wrongUsage(cmd, "invalid value for --state", "--state is one of pending, delivered, dead and all")
			case follow && (asJSON || len(args) > 0):
				return wrongUsage(cmd, "--follow with others", "--follow goes with --state and --limit only")
			case limit < 0:
				return wrongUsage(cmd, "invalid value for --limit", "--limit is a number of messages, 0 for all")
			case len(args) == 1:
				return a.withQueue(func(q *track.Queue) error { return a.inspectOne(cmd.Context(), q, args[0]) })
			}
			filter := outbox.Filter{State: outbox.State(state), Limit: limit}
			if state == "all" {
				filter.State = ""
			}
			return a.withQueue(func(q *track.Queue) error {
				if follow {
					return a.follow(cmd.Context(), q, filter)
				}
				return a.inspect(cmd.Context(), q, filter, asJSON)
			})
		},
		ValidArgsFunction: a.completeMessages("", 1),
	}
	cmd.Flags().StringVar(&state, "state", "all", "only messages in this state: pending, delivered, dead or all")
	cmd.Flags().IntVar(&limit, "limit", defaultInspectLimit, "show only this many of the newest; 0 for all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print identity, counts and messages as JSON")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing messages as they are recorded and delivered")
	complete := cobra.FixedCompletions(states, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("state", complete) // an error means an unknown flag
	return cmd
}

// inspectOne prints a message as it goes over the wire.
func (a *App) inspectOne(ctx context.Context, q *track.Queue, id string) error {
	s, err := q.Snapshot(ctx, outbox.Filter{ID: id})
	if err != nil {
		return err
	}
	if len(s.Messages) == 0 {
		return failed("no such message", "there is no message with that number or uuid",
			"'arcade usage inspect --limit 0' lists all; receipts of delivered ones are kept for 7 days.")
	}
	m := s.Messages[0]
	wire, err := q.Wire(m)
	switch {
	case err != nil:
		return failed("damaged message", "this message is damaged and cannot be put on the wire",
			"It is settled as dead when it is its turn; 'arcade usage inspect --json' shows what is left of it.")
	case m.DistinctID == "" && m.Kind == outbox.Alias:
		return failed("undecided alias", "this alias waits until Arcade Cloud says who you are",
			"The next delivery asks: run 'arcade usage flush'.")
	case m.DistinctID == "":
		a.note("Whose message this is has not been decided; this is how it would go out anonymously.")
	}
	return a.Out.JSON(wire)
}

func (a *App) inspect(ctx context.Context, q *track.Queue, filter outbox.Filter, asJSON bool) error {
	return q.Show(ctx, filter, once(func(s track.Snapshot, messages iter.Seq2[outbox.Message, error]) error {
		all := total(s, filter)
		if asJSON {
			return a.streamJSON(a.newInspection(s, all), messages)
		}
		var err error
		if a.Out.Interactive {
			err = a.printHeader(s, q)
		} else {
			err = a.Out.TSV(inspectColumns(), nil)
		}
		if err != nil {
			return err
		}
		shown, err := a.printMessages(messages)
		switch {
		case err != nil:
			return err
		case !a.Out.Interactive && shown < all:
			a.note(fmt.Sprintf("Note: %d of %d messages; '--limit 0' gives all.", shown, all))
		case a.Out.Interactive && all == 0 && filter.State != "":
			return a.print(fmt.Sprintf("No message is %s.", filter.State))
		case a.Out.Interactive && shown < all:
			return a.print(fmt.Sprintf("%d of %d; '--limit 0' shows all.", shown, all))
		}
		return nil
	}))
}

// once makes print run once: an error of the database makes a view begin again, which would print its start twice.
func once(print track.ShowFunc) track.ShowFunc {
	var err error
	return func(s track.Snapshot, messages iter.Seq2[outbox.Message, error]) error {
		if print != nil {
			err, print = print(s, messages), nil
		}
		return err
	}
}

// total counts the messages that the filter selects without its limit.
func total(s track.Snapshot, filter outbox.Filter) int {
	pending, delivered, dead := s.Counts.Pending, s.Counts.Delivered, s.Counts.Dead
	return map[outbox.State]int{
		outbox.Pending: pending, outbox.Delivered: delivered, outbox.Dead: dead, "": pending + delivered + dead,
	}[filter.State]
}

// printMessages prints rows in portions, so that a long queue takes no more memory than a short one.
func (a *App) printMessages(messages iter.Seq2[outbox.Message, error]) (shown int, err error) {
	const most = 500
	var rows [][]string
	for m, err := range messages {
		if err != nil {
			return shown, err
		}
		rows = append(rows, a.row(m))
		if shown++; len(rows) < most {
			continue
		}
		if err := a.printRows(rows); err != nil {
			return shown, err
		}
		rows = rows[:0]
	}
	if len(rows) > 0 {
		err = a.printRows(rows)
	}
	return shown, err
}

func (a *App) printRows(rows [][]string) error {
	if a.Out.Interactive {
		return a.Out.Table("", inspectColumns(), rows)
	}
	return a.Out.TSV(nil, rows)
}

// streamJSON prints the document as Stream.JSON would, one message at a time.
func (a *App) streamJSON(head Inspection, messages iter.Seq2[outbox.Message, error]) error {
	document, err := term.Indented("", head)
	if err != nil {
		return err
	}
	opening, closing, _ := strings.Cut(document, "[]")
	separator := opening + "[\n    "
	for m, err := range messages {
		if err != nil {
			return err
		}
		one, err := term.Indented("    ", newInspected(m))
		if err != nil {
			return err
		}
		if err := a.Out.Document(separator + one); err != nil {
			return err
		}
		separator = ",\n    "
	}
	if strings.HasPrefix(separator, opening) {
		return a.Out.Document(document + "\n")
	}
	return a.Out.Document("\n  ]" + closing + "\n")
}

// printHeader says above the messages whose they are and what is next.
func (a *App) printHeader(s track.Snapshot, q *track.Queue) error {
	text := a.words().Headline(s, a.Out.Clip(s.PrincipalID, 18)) + "\n" + a.next(s, q)
	if dead := a.words().Deaths(s); dead != "" {
		text += "\n" + dead
	}
	return a.print(text)
}

// Inspection is what `usage inspect --json` prints.
type Inspection struct {
	Identity struct {
		AnonID            string  `json:"anon_id"`
		LinkedPrincipalID *string `json:"linked_principal_id"`
	} `json:"identity"`
	Counts struct {
		Pending   int `json:"pending"`
		Delivered int `json:"delivered"`
		Dead      int `json:"dead"`
		Dropped   int `json:"dropped"`
	} `json:"counts"`
	Reason   *string            `json:"reason"` // why something stands still, one of AdviceTable; null: nothing does
	Advice   *string            `json:"advice"`
	Total    int                `json:"total"` // how many there are without the limit
	Messages []InspectedMessage `json:"messages"`
}

// InspectedMessage is one of them.
type InspectedMessage struct {
	Seq        int64           `json:"seq"`
	UUID       string          `json:"uuid"`
	Kind       outbox.Kind     `json:"kind"`
	Event      string          `json:"event"`
	DistinctID *string         `json:"distinct_id"` // null while undecided
	Anonymous  bool            `json:"anonymous"`
	RecordedAt string          `json:"recorded_at"`
	State      outbox.State    `json:"state"`
	Attempts   int             `json:"attempts"`
	LastError  *string         `json:"last_error"`
	SettledAt  *string         `json:"settled_at"`
	Properties json.RawMessage `json:"properties"`
}

// newInspection makes it without the messages.
func (a *App) newInspection(s track.Snapshot, all int) (out Inspection) {
	if reason := a.Track.Standstill(s); reason != nil {
		why := a.words().Of(reason)
		out.Reason, out.Advice = &why.Reason, &why.Advice
	}
	out.Total = all
	out.Identity.AnonID = s.AnonID
	out.Identity.LinkedPrincipalID = orNull(s.PrincipalID)
	out.Counts.Pending, out.Counts.Delivered = s.Counts.Pending, s.Counts.Delivered
	out.Counts.Dead, out.Counts.Dropped = s.Counts.Dead, s.Counts.Dropped
	out.Messages = []InspectedMessage{}
	return out
}

func newInspected(m outbox.Message) InspectedMessage {
	if !json.Valid(m.Properties) { // a damaged row must not break the whole document
		m.Properties = json.RawMessage(`{}`)
	}
	return InspectedMessage{
		Seq: m.Seq, UUID: m.UUID, Kind: m.Kind, Event: m.Event,
		DistinctID: orNull(m.DistinctID), Anonymous: m.Anonymous(), RecordedAt: term.RFC3339(m.RecordedAt),
		State: m.State, Attempts: m.Attempts, LastError: orNull(m.LastError), SettledAt: orNull(term.RFC3339(m.SettledAt)),
		Properties: m.Properties,
	}
}

func inspectColumns() []term.Column {
	return []term.Column{
		{Title: "SEQ", Right: true}, {Title: "RECORDED"}, {Title: "STATE"}, {Title: "COMMAND"},
		{Title: "RESULT", Drop: 1}, {Title: "AS", Drop: 3}, {Title: "NOTE", Drop: 2, Shrink: true}, {Title: "UUID", Drop: 4},
	}
}

// row is one for a table, or for programs.
func (a *App) row(m outbox.Message) []string {
	command, result, note := summary(m)
	seq := strconv.FormatInt(m.Seq, 10)
	if !a.Out.Interactive {
		return []string{seq, term.RFC3339(m.RecordedAt), string(m.State), command, result, m.DistinctID, note, m.UUID}
	}
	return []string{
		seq, term.Ago(m.RecordedAt, a.Track.Now()), a.stateLabel(m.State), a.Out.Clip(command, 24), result, a.sender(m), note, m.UUID,
	}
}

// summary says in words what a message is about: note is why the command failed, and why the message was not
// delivered.
func summary(m outbox.Message) (command, result, note string) {
	if m.Kind == outbox.Alias {
		return "alias", "who you are", m.LastError
	}
	var p track.Properties
	if json.Unmarshal(m.Properties, &p) != nil {
		return "?", "damaged", m.LastError
	}
	result = "ok in "
	if m.Event == track.Failed {
		result = "failed in "
	}
	if note = p.ErrorMessage; note != "" && m.LastError != "" {
		note += "; "
	}
	return p.CommandName, result + term.Milliseconds(p.Duration), note + m.LastError
}

// sender is whose event a message is for PostHog. Ids are shortened to what tells two apart.
func (a *App) sender(m outbox.Message) string {
	switch {
	case m.DistinctID == "":
		return "undecided"
	case m.Anonymous():
		return "anonymous " + a.Out.Clip(m.AnonID, 9)
	default:
		return a.Out.Clip(m.DistinctID, 18)
	}
}

// stateLabel tells states apart by symbol and word, and by colour where there is any.
func (a *App) stateLabel(s outbox.State) string {
	colour, symbol, plain := term.Yellow, "○", "o"
	switch s {
	case outbox.Delivered:
		colour, symbol, plain = term.Green, "✓", "+"
	case outbox.Dead:
		colour, symbol, plain = term.Red, "✗", "x"
	}
	if !a.Out.Unicode {
		symbol = plain
	}
	return a.Out.Paint(colour, symbol+" "+string(s))
}

// followInterval is how often the queue is looked at: often enough to look live, and a look takes a
// fraction of a millisecond. Where thousands of messages may still change it takes longer, and so does the
// pause.
const followInterval = 200 * time.Millisecond

// follow prints the newest messages, then each one that is recorded and each change of state, until it is
// interrupted or its output is closed.
func (a *App) follow(ctx context.Context, q *track.Queue, filter outbox.Filter) error {
	seen := map[int64]string{}
	headed := !a.Out.Interactive
	look := filter
	if filter.State != "" { // a message comes into this state out of another one
		look = outbox.Filter{}
	}
	for first := true; ; first = false {
		began, open := time.Now(), int64(0)
		err := q.Show(ctx, look, func(s track.Snapshot, messages iter.Seq2[outbox.Message, error]) (err error) {
			if !headed {
				headed = true
				if err := a.printHeader(s, q); err != nil {
					return err
				}
			}
			left := 0
			if first && filter.State != "" && filter.Limit > 0 {
				left = total(s, filter) - filter.Limit
			}
			open, err = a.printChanges(seen, filter.State, left, messages)
			return err
		})
		if ctx.Err() != nil {
			return errLeft
		}
		if err != nil {
			return err
		}
		// From the oldest that may still change, without a limit: a burst is longer than what is shown at first.
		look = outbox.Filter{After: max(look.After, open-1)}
		maps.DeleteFunc(seen, func(seq int64, _ string) bool { return seq <= look.After })
		select {
		case <-ctx.Done():
			return errLeft
		case <-time.After(max(followInterval, 4*time.Since(began))):
		}
		if a.Out.Unread() {
			return errOutputClosed
		}
	}
}

// printChanges prints the messages that have newly come into a state, "" for any, without the first few
// of them, and notes for all what may change about them. Open is the first that may still change, or behind the last.
func (a *App) printChanges(
	seen map[int64]string, state outbox.State, left int, messages iter.Seq2[outbox.Message, error],
) (open int64, err error) {
	settled := true
	for m, err := range messages {
		if err != nil {
			return open, err
		}
		now := string(m.State) + m.LastError
		if state == "" || m.State == state {
			if left--; left < 0 && seen[m.Seq] != now {
				if err := a.printChange(m); err != nil {
					return open, err
				}
			}
		}
		seen[m.Seq] = now
		if settled {
			settled = m.State == outbox.Delivered
			open = m.Seq
		}
	}
	if settled {
		open++
	}
	return open, nil
}

func (a *App) printChange(m outbox.Message) error {
	if !a.Out.Interactive {
		return a.printRows([][]string{a.row(m)})
	}
	command, result, note := summary(m)
	if note != "" {
		note = ", " + note
	}
	clock := m.RecordedAt
	if !m.SettledAt.IsZero() {
		clock = m.SettledAt
	}
	// The state is padded before it is painted: colours have no width.
	state := a.stateLabel(m.State) + strings.Repeat(" ", len(outbox.Delivered)-len(m.State))
	return a.print(fmt.Sprintf("%s  %4d  %s  %s", clock.Local().Format(time.TimeOnly), m.Seq, state,
		a.Out.Clip(command+": "+result+note, max(a.Out.Width-30, 10))))
}

// offered is how many messages completion offers, the newest: a list that fits on a screen.
const offered = 20

// completeMessages offers the numbers of messages in a state, "" for any, with their commands.
func (a *App) completeMessages(state outbox.State, most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) (list []cobra.Completion, _ cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		if len(args) >= most {
			return nil, directive
		}
		q, err := a.Track.Queue()
		if err != nil {
			return nil, directive
		}
		defer q.Close()
		s, err := q.Snapshot(cmd.Context(), outbox.Filter{State: state, Limit: offered})
		if err != nil {
			return nil, directive
		}
		for _, m := range s.Messages {
			p := track.Properties{CommandName: "alias"}
			// A damaged message is offered without its command.
			_ = json.Unmarshal(m.Properties, &p)
			list = append(list, cobra.CompletionWithDesc(fmt.Sprint(m.Seq), secrets.Printable(p.CommandName)+", "+string(m.State)))
		}
		return list, directive
	}
}
