package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// newUsage makes the group of commands that look at the outbox and move it along. They are not
// recorded: looking at the queue must not change it.
func (a *App) newUsage() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "usage",
		Short: "See, deliver or switch off what arcade records about its use",
		Long: `Each command leaves one usage event: which command ran, how long it took, and
whether it failed. Events wait in a database on this machine and are delivered
in the background, later if need be. These commands show events, deliver them
now, erase them, or switch recording off; they are not recorded themselves.`,
		Example: "  arcade usage inspect\n  arcade usage flush\n  arcade usage disable",
	}
	cmd.AddCommand(
		a.newUsageStatus(), a.newUsageInspect(), a.newUsageFlush(), a.newUsageExport(),
		a.newUsageEnable(), a.newUsageDisable(), a.newUsageRetry(), a.newUsageClear(),
		a.newUsageForget(), a.newUsageReport(),
	)
	return cmd
}

func (a *App) newUsageEnable() *cobra.Command {
	return &cobra.Command{
		Use:        "enable",
		Short:      "Switch the recording of usage on",
		Example:    "  arcade usage enable",
		SuggestFor: []string{"on"},
		RunE:       a.onQueue(a.enable),
	}
}

func (a *App) enable(ctx context.Context, q *track.Queue, _ []string) error {
	if err := q.Enable(ctx); err != nil {
		return err
	}
	if s := a.Track.Switches(); s.Override == outbox.ForceOff {
		return a.print("Usage is not recorded as long as " + s.By + " is set, which switches it off. Without it, usage is recorded from now on.")
	}
	return a.print("Usage is recorded.")
}

func (a *App) newUsageDisable() *cobra.Command {
	return &cobra.Command{
		Use:   "disable",
		Short: "Switch the recording of usage off and erase what waits",
		Long: `Switch the recording of usage off and erase what was recorded, so that what
waits is never delivered, not even after 'arcade usage enable'.`,
		Example:    "  arcade usage disable",
		SuggestFor: []string{"off", "stop"},
		RunE:       a.onQueue(a.disable),
	}
}

func (a *App) disable(ctx context.Context, q *track.Queue, _ []string) error {
	erased, late, err := q.Disable(ctx)
	if err != nil && q.ConsentBeside().On {
		return err
	}
	off := "Usage is no longer recorded."
	if s := a.Track.Switches(); s.Override == outbox.ForceOn {
		off = "Usage is recorded as long as " + s.By + " is set, which switches it on. Without it, usage is no longer recorded."
	}
	if err != nil {
		line := a.words().Of(err)
		line.Do = "It is kept, and not delivered. When this is mended, run 'arcade usage disable' again to erase it."
		return errors.Join(a.print(off), adviceFailure(line, "what waits could not be erased: "))
	}
	a.noteLate(late)
	if erased > 0 {
		off += " " + term.Count(erased, "waiting message was", "waiting messages were") + " erased."
	}
	return errors.Join(a.print(off), ctx.Err())
}

// noteLate follows an erasure that a delivery may have escaped.
func (a *App) noteLate(late bool) {
	if late {
		a.note("A delivery that was under way could not be waited for and may still arrive.")
	}
}

func (a *App) newUsageRetry() *cobra.Command {
	return &cobra.Command{
		Use:   "retry [SEQ|UUID]...",
		Short: "Make dead messages wait for delivery again",
		Long: `Make messages that PostHog refused wait again: all of them, or those with the
given numbers or uuids. The next delivery sends them, unchanged.`,
		Example:           "  arcade usage retry\n  arcade usage retry 7 12",
		RunE:              a.onQueue(a.retry),
		ValidArgsFunction: a.completeMessages(outbox.Dead, offered),
	}
}

func (a *App) retry(ctx context.Context, q *track.Queue, ids []string) error {
	retried, err := q.Retry(ctx, ids)
	if err != nil {
		return err
	}
	if retried == 0 && len(ids) == 0 {
		return a.print("There is nothing to retry: no message is dead.")
	}
	if retried == 0 {
		what := "no dead message has this number or uuid"
		if len(ids) > 1 {
			what = "no dead message has one of these numbers or uuids"
		}
		return failed("no such message", what, "'arcade usage inspect --state dead' shows those that are.")
	}
	if missed := len(ids) - retried; missed > 0 {
		a.note(term.Count(missed, "of them is", "of them are") + " not dead, or not there.")
	}
	waiting := term.Count(retried, "message", "messages")
	return a.print("Waiting again: " + waiting + ". 'arcade usage flush' delivers now; so does a later command.")
}

func (a *App) newUsageExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Print all messages as they are sent, one JSON document a line",
		Long: `Print every message that is kept, waiting or not, exactly as it goes over the
wire: one JSON document a line, the oldest first. Nothing is sent.`,
		Example: "  arcade usage export > usage.ndjson",
		RunE:    a.onQueue(a.export),
	}
}

// exportChunk is how much is written at once, in bytes: a write for each line is half of the time.
const exportChunk = 64 << 10

func (a *App) export(ctx context.Context, q *track.Queue, _ []string) error {
	return q.Show(ctx, outbox.Filter{}, once(func(_ track.Snapshot, messages iter.Seq2[outbox.Message, error]) error {
		var chunk strings.Builder
		for m, err := range messages {
			if err != nil {
				return errors.Join(a.Out.Document(chunk.String()), err)
			}
			document, err := q.Wire(m)
			if err != nil {
				a.note(fmt.Sprintf("Message %d is damaged and left out.", m.Seq))
				continue
			}
			chunk.Write(document)
			chunk.WriteByte('\n')
			if chunk.Len() < exportChunk {
				continue
			}
			if err := a.Out.Document(chunk.String()); err != nil {
				return err
			}
			chunk.Reset()
		}
		return a.Out.Document(chunk.String())
	}))
}

func (a *App) newUsageClear() *cobra.Command {
	return a.confirmed(&cobra.Command{
		Use:        "clear",
		Short:      "Erase all messages, waiting or not",
		Example:    "  arcade usage clear\n  arcade usage clear --yes",
		SuggestFor: []string{"delete", "erase"},
	}, erasure{"Erase", "Erased", false})
}

func (a *App) newUsageForget() *cobra.Command {
	return a.confirmed(&cobra.Command{
		Use:   "forget",
		Short: "Forget this home's random id and erase all messages",
		Long: `Forget the random id that stands for this home and the account that is linked to
it, and erase all messages, waiting or not. The switch stays as it is: if usage
is recorded, the next command gets a new id. A login stays, too; 'arcade logout'
ends it.

Arcade's Python CLI shares the id, and gets a new one as well.`,
		Example: "  arcade usage forget\n  arcade usage forget --yes",
	}, erasure{"Forget", "Forgotten", true})
}

// erasure is how a command that erases all messages, and may be the id, speaks of it.
type erasure struct {
	verb, done string
	id         bool
}

// confirmed makes a command of an erasure: it asks first, unless it is told not to.
func (a *App) confirmed(cmd *cobra.Command, e erasure) *cobra.Command {
	var yes bool
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !yes && !a.Keyboard() {
			return wrongUsage(cmd, "no confirmation", "there is no terminal to ask at: confirm with --yes")
		}
		return a.withQueue(func(q *track.Queue) error { return a.erase(cmd.Context(), q, e, yes) })
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (a *App) erase(ctx context.Context, q *track.Queue, e erasure, yes bool) error {
	copies, err := q.Copies()
	if err != nil {
		return err
	}
	damaged := len(copies)
	s, err := q.Erasable(ctx)
	if errors.Is(err, outbox.ErrDamaged) { // the database in use: what is in it cannot be read
		damaged, err = damaged+1, nil
	}
	if err != nil {
		return err
	}
	hasID := e.id && (q.HasID(s) || damaged > 0)
	receipts := s.Counts.Delivered + s.Counts.Dead
	what := contents(hasID, s.Counts.Pending, receipts, damaged)
	if what == "" {
		return a.print("There is nothing to " + strings.ToLower(e.verb) + ".")
	}
	if !yes {
		if yes, err = a.Confirm(ctx, e.verb+" "+what+", for ever?"); err != nil {
			return errInterrupted
		}
	}
	if !yes {
		return a.print("Nothing was " + strings.ToLower(e.done) + ".")
	}
	erase := q.Clear
	if e.id {
		erase = q.Forget
	}
	erased, late, err := erase(ctx)
	if err != nil {
		return err
	}
	a.noteLate(late)
	said := e.done + ": " + contents(hasID, erased, receipts, damaged) + "."
	switch off := a.Track.Off(s.Consent); {
	case e.id && off != nil:
		said += " Usage stays switched off (" + off.By + ")."
	case e.id:
		said += " The next command gets a new id."
	}
	return errors.Join(a.print(said), ctx.Err()) // the wait may have been cut short
}

// contents words what there is to erase, "" for nothing.
func contents(id bool, waiting, receipts, damaged int) string {
	var parts []string
	if id {
		parts = append(parts, "this home's id")
	}
	if waiting > 0 {
		parts = append(parts, term.Count(waiting, "waiting message", "waiting messages"))
	}
	if receipts > 0 {
		parts = append(parts, term.Count(receipts, "receipt", "receipts"))
	}
	if damaged > 0 {
		parts = append(parts, term.Count(damaged, "damaged database", "damaged databases"))
	}
	return strings.Join(parts, " and ")
}
