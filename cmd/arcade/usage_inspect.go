package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// defaultInspectLimit is how many messages a person is shown: about two screens.
const defaultInspectLimit = 50

func (a *app) newUsageInspect() *cobra.Command {
	var state string
	var limit int
	var asJSON, follow bool
	states := []string{string(outbox.Pending), string(outbox.Delivered), string(outbox.Dead), "all"}
	cmd := &cobra.Command{
		Use:   "inspect [SEQ|UUID]",
		Short: "Show what was recorded and what became of it",
		Long: `Show the messages in the outbox, the newest last, and their fate: pending,
delivered, or dead (refused by PostHog for good). With a number or a uuid, print
exactly the JSON that goes over the wire for that message.

Looking changes nothing. In a pipe the columns are separated by tabs and times
are in UTC.`,
		Example: "  arcade usage inspect\n  arcade usage inspect --state pending --limit 10\n  arcade usage inspect 7\n  arcade usage inspect --follow",
		Args:    cobra.ArbitraryArgs,
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
				return a.inspectOne(cmd.Context(), args[0])
			}
			filter := outbox.Filter{State: outbox.State(state), Limit: limit}
			if state == "all" {
				filter.State = ""
			}
			if follow {
				return a.follow(cmd.Context(), filter)
			}
			return a.inspect(cmd.Context(), filter, asJSON)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&state, "state", "all", "only messages in this state: pending, delivered, dead or all")
	cmd.Flags().IntVar(&limit, "limit", defaultInspectLimit, "show at most this many, the newest; 0 for all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print identity, counts and messages as JSON")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing messages as they are recorded and delivered")
	complete := cobra.FixedCompletions(states, cobra.ShellCompDirectiveNoFileComp)
	if err := cmd.RegisterFlagCompletionFunc("state", complete); err != nil { // only for a flag that does not exist
		panic(err)
	}
	return cmd
}

// inspectOne prints a message as it goes over the wire.
func (a *app) inspectOne(ctx context.Context, id string) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	s, err := a.look(ctx, a.outbox(home), outbox.Filter{ID: id})
	if err != nil {
		return err
	}
	if len(s.messages) == 0 {
		return failed("no such message", "there is no message with that number or uuid",
			"'arcade usage inspect --limit 0' lists all; receipts of delivered ones are kept for 7 days.")
	}
	wire, err := outbox.WireJSON(ctx, s.messages[:1])
	if err != nil {
		return err
	}
	if wire[0] == nil {
		return failed("damaged message", "this message is damaged and cannot be put on the wire",
			"It is settled as dead when it is its turn; 'arcade usage inspect --json' shows what is left of it.")
	}
	if m := s.messages[0]; m.DistinctID == "" && m.Kind == outbox.Alias {
		return failed("undecided alias", "this alias waits until Arcade Cloud says who you are",
			"The next delivery asks: run 'arcade usage flush'.")
	} else if m.DistinctID == "" {
		fmt.Fprintln(a.err, "Whose message this is has not been decided; this is how it would go out anonymously.")
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, wire[0], "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, indented.String())
	return err
}

func (a *app) inspect(ctx context.Context, filter outbox.Filter, asJSON bool) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	box := a.outbox(home)
	s, err := a.look(ctx, box, filter)
	if err != nil {
		return err
	}
	t := a.terminal(a.out)
	switch {
	case asJSON:
		return a.printJSON(newInspection(s))
	case t.interactive:
		a.printHeader(s, box, t)
		if len(s.messages) > 0 {
			printTable(a.out, "", inspectColumns(), a.rowsForPeople(s.messages, t), t)
		}
		return nil
	default:
		return printTSV(a.out, inspectColumns(), rowsForPrograms(s.messages))
	}
}

// printHeader says above the messages whose they are, and what happens next.
func (a *app) printHeader(s snapshot, box *outbox.Outbox, t terminal) {
	fmt.Fprintln(a.out, t.wrap(a.headline(s, t, t.clip(s.state.PrincipalID, 18))))
	fmt.Fprintln(a.out, t.wrap(a.outlook(s, box)))
}

// inspection is what `usage inspect --json` prints.
type inspection struct {
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
	Messages []inspectedMessage `json:"messages"`
}

type inspectedMessage struct {
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

func newInspection(s snapshot) (out inspection) {
	out.Identity.AnonID = s.state.AnonID
	out.Identity.LinkedPrincipalID = orNull(s.state.PrincipalID)
	out.Counts.Pending, out.Counts.Delivered = s.counts.Pending, s.counts.Delivered
	out.Counts.Dead, out.Counts.Dropped = s.counts.Dead, s.counts.Dropped
	out.Messages = make([]inspectedMessage, 0, len(s.messages))
	for _, m := range s.messages {
		out.Messages = append(out.Messages, inspectedMessage{
			Seq: m.Seq, UUID: m.UUID, Kind: m.Kind, Event: m.Event,
			DistinctID: orNull(m.DistinctID), Anonymous: m.Anonymous(), RecordedAt: rfc3339(m.RecordedAt),
			State: m.State, Attempts: m.Attempts, LastError: orNull(m.LastError), SettledAt: orNull(rfc3339(m.SettledAt)),
			Properties: orEmptyObject(m.Properties),
		})
	}
	return out
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// orEmptyObject keeps a damaged row from breaking the whole document.
func orEmptyObject(raw json.RawMessage) json.RawMessage {
	if !json.Valid(raw) {
		return json.RawMessage(`{}`)
	}
	return raw
}

func inspectColumns() []column {
	return []column{
		{title: "SEQ", right: true}, {title: "RECORDED"}, {title: "STATE"}, {title: "COMMAND"},
		{title: "RESULT", drop: 1}, {title: "AS", drop: 3}, {title: "NOTE", drop: 2, shrink: true}, {title: "UUID", drop: 4},
	}
}

func (a *app) rowsForPeople(messages []outbox.Message, t terminal) [][]string {
	rows := make([][]string, len(messages))
	now := a.now()
	for i, m := range messages {
		command, result := summary(m)
		rows[i] = []string{
			strconv.FormatInt(m.Seq, 10), ago(m.RecordedAt, now), stateLabel(m.State, t), t.clip(command, 24),
			result, who(m, t), m.LastError, m.UUID,
		}
	}
	return rows
}

func rowsForPrograms(messages []outbox.Message) [][]string {
	rows := make([][]string, len(messages))
	for i, m := range messages {
		command, result := summary(m)
		rows[i] = []string{
			strconv.FormatInt(m.Seq, 10), rfc3339(m.RecordedAt), string(m.State), command, result,
			m.DistinctID, m.LastError, m.UUID,
		}
	}
	return rows
}

// summary says in words what a message is about.
func summary(m outbox.Message) (command, result string) {
	if m.Kind == outbox.Alias {
		return "alias", "who you are"
	}
	var p properties
	if json.Unmarshal(m.Properties, &p) != nil {
		return "?", "damaged"
	}
	if m.Event == eventFailed {
		return p.CommandName, "failed in " + milliseconds(p.Duration)
	}
	return p.CommandName, "ok in " + milliseconds(p.Duration)
}

// milliseconds words a duration with three digits or so.
func milliseconds(ms float64) string {
	switch {
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	default:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	}
}

// who says as whom a message goes out. Ids are shortened to what tells two apart.
func who(m outbox.Message, t terminal) string {
	switch {
	case m.DistinctID == "":
		return "undecided"
	case m.Anonymous():
		return "anonymous " + t.clip(m.AnonID, 9)
	default:
		return t.clip(m.DistinctID, 18)
	}
}

// stateLabel tells states apart by symbol and word, and by colour where there is any.
func stateLabel(s outbox.State, t terminal) string {
	type look struct {
		colour         int
		unicode, ascii string
	}
	looks := map[outbox.State]look{
		outbox.Pending: {yellow, "○", "o"}, outbox.Delivered: {green, "✓", "+"}, outbox.Dead: {red, "✗", "x"},
	}
	l := looks[s]
	symbol := l.ascii
	if t.unicode {
		symbol = l.unicode
	}
	return t.paint(l.colour, symbol+" "+string(s))
}

// headline says who this machine is for PostHog; principal is its principal as it is to be shown.
func (a *app) headline(s snapshot, t terminal, principal string) string {
	switch {
	case s.state.AnonID == "":
		return "Nothing has been recorded yet."
	case s.state.PrincipalID != "":
		return fmt.Sprintf("You are %s (this home's id: %s).", t.paint(bold, principal), t.clip(s.state.AnonID, 9))
	case s.state.Credential != "":
		return fmt.Sprintf("You are logged in; as whom is asked with the next delivery (this home's id: %s).", t.clip(s.state.AnonID, 9))
	default:
		return fmt.Sprintf("You are anonymous (id %s, which this home got %s).", t.clip(s.state.AnonID, 9), ago(s.since, a.now()))
	}
}

// outlook says what is waiting and what happens next.
func (a *app) outlook(s snapshot, box *outbox.Outbox) string {
	waiting := count(s.counts.Pending, "message waits", "messages wait")
	switch by := a.offBy(s.consent); {
	case by != "":
		return fmt.Sprintf("Tracking is off (%s): nothing is recorded or sent.", by)
	case s.counts.Pending == 0:
		return "Nothing waits; last delivery: " + ago(s.schedule.LastSuccess, a.now()) + "."
	case a.postHogKey() == "":
		return waiting + ": no PostHog key is set (ARCADE_USAGE_KEY), so nothing is sent."
	case s.schedule.Failures > 0:
		return fmt.Sprintf("%s; no delivery since %s (%s). %s", waiting,
			a.clock(s.schedule.FailingSince), s.schedule.LastError, a.nextTry(s.schedule, box))
	case box.FlusherRunning():
		return waiting + "; a flusher is delivering now."
	default:
		return waiting + "; the next command delivers, or 'arcade usage flush' now."
	}
}

// nextTry says when delivery is tried again, and by whom.
func (a *app) nextTry(schedule outbox.Schedule, box *outbox.Outbox) string {
	now := a.now()
	next := schedule.Next(now)
	switch {
	case box.FlusherRunning():
		return "It is being tried now."
	case next.IsZero():
		return "The next command tries again."
	case box.FlusherWaiting():
		return "Next try in " + span(next.Sub(now)) + "."
	default:
		return "The first command after " + span(next.Sub(now)) + " tries again."
	}
}

// offBy names what switched tracking off, "" when it is on.
func (a *app) offBy(consent outbox.Consent) string {
	switches := a.switches()
	switch {
	case !switches.on:
		return switches.by
	case !consent.On && !switches.forced:
		return "arcade usage disable"
	default:
		return ""
	}
}
