package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// withOutbox runs fn with the outbox of this user's home, closes it and words its errors.
func (a *app) withOutbox(fn func(box *outbox.Outbox) error) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	box := a.outbox(home)
	defer box.Close()
	err = fn(box)
	var worded *failure
	if err != nil && !errors.As(err, &worded) {
		return outboxFailure(err)
	}
	return err
}

func (a *app) newUsageEnable() *cobra.Command {
	return &cobra.Command{
		Use:     "enable",
		Short:   "Switch the recording of usage on",
		Example: "  arcade usage enable",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withOutbox(func(box *outbox.Outbox) error {
				if err := box.Enable(cmd.Context()); err != nil {
					return err
				}
				fmt.Fprintln(a.out, "Usage is recorded.")
				if s := a.switches(); !s.on {
					fmt.Fprintf(a.err, "But %s is set, and switches it off.\n", s.by)
				}
				return nil
			})
		},
	}
}

func (a *app) newUsageDisable() *cobra.Command {
	return &cobra.Command{
		Use:   "disable",
		Short: "Switch the recording of usage off and erase what waits",
		Long: `Switch the recording of usage off and erase what was recorded, so that what
waits is never delivered, not even after 'arcade usage enable'.`,
		Example: "  arcade usage disable",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withOutbox(func(box *outbox.Outbox) error {
				erased, err := box.Disable(cmd.Context())
				if err != nil {
					return err
				}
				if !box.AwaitFlusher(flusherLife) {
					fmt.Fprintln(a.err, "A delivery that was under way could not be waited for and may still arrive.")
				}
				fmt.Fprintf(a.out, "Usage is no longer recorded. %s erased.\n", count(erased, "waiting message was", "waiting messages were"))
				if s := a.switches(); s.forced {
					fmt.Fprintf(a.err, "But %s is set, and switches it on.\n", s.by)
				}
				return nil
			})
		},
	}
}

func (a *app) newUsageRetry() *cobra.Command {
	return &cobra.Command{
		Use:   "retry [SEQ|UUID]...",
		Short: "Let dead messages be delivered once more",
		Long: `Make messages that PostHog refused pending again: all of them, or those with the
given numbers or uuids. They are sent as they were, with the next delivery.`,
		Example: "  arcade usage retry\n  arcade usage retry 7 12",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withOutbox(func(box *outbox.Outbox) error {
				return a.retry(cmd.Context(), box, args)
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

func (a *app) retry(ctx context.Context, box *outbox.Outbox, ids []string) error {
	var retried int64
	err := box.InTx(ctx, func(tx *sql.Tx) (err error) {
		retried, err = outbox.RetryTx(ctx, tx, ids)
		return err
	})
	if err != nil {
		return err
	}
	if retried == 0 && len(ids) == 0 {
		fmt.Fprintln(a.out, "No message is dead.")
		return nil
	}
	if int(retried) < len(ids) {
		fmt.Fprintf(a.err, "%s not dead, or not there.\n", count(len(ids)-int(retried), "of them is", "of them are"))
	}
	fmt.Fprintf(a.out, "%s again.\n", count(int(retried), "message waits", "messages wait"))
	return nil
}

func (a *app) newUsageExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Print all messages as they go over the wire, one JSON document a line",
		Long: `Print every message that is kept, waiting or not, exactly as it goes over the
wire: one JSON document a line, the oldest first. Nothing is sent.`,
		Example: "  arcade usage export > usage.ndjson",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withOutbox(func(box *outbox.Outbox) error {
				return a.export(cmd.Context(), box)
			})
		},
	}
}

func (a *app) export(ctx context.Context, box *outbox.Outbox) error {
	s, err := a.look(ctx, box, outbox.Filter{})
	if err != nil {
		return err
	}
	documents, err := outbox.WireJSON(ctx, s.messages)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(a.out)
	for i, document := range documents {
		if document == nil {
			fmt.Fprintf(a.err, "Message %d is damaged and left out.\n", s.messages[i].Seq)
			continue
		}
		w.Write(append(document, '\n')) // an error stays with w until Flush
	}
	return w.Flush()
}

func (a *app) newUsageClear() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "clear",
		Short:   "Erase all messages, waiting or not",
		Example: "  arcade usage clear\n  arcade usage clear --yes",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes && a.keyboard() == nil {
				return wrongUsage(cmd, "no confirmation", "nobody can be asked here: confirm with --yes")
			}
			return a.withOutbox(func(box *outbox.Outbox) error {
				return a.clear(cmd.Context(), box, yes)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) clear(ctx context.Context, box *outbox.Outbox, yes bool) error {
	s, err := a.look(ctx, box, outbox.Filter{Limit: 1})
	if err != nil {
		return err
	}
	if len(s.messages) == 0 {
		fmt.Fprintln(a.out, "There is nothing to erase.")
		return nil
	}
	receipts := s.counts.Delivered + s.counts.Dead
	if !yes && !a.confirm("Erase "+heap(s.counts.Pending, receipts)+", for ever?") {
		fmt.Fprintln(a.out, "Nothing was erased.")
		return nil
	}
	erased, err := box.Clear(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Erased: %s.\n", heap(erased, receipts))
	return nil
}

// heap words what lies in the outbox, which is not empty.
func heap(waiting, receipts int) string {
	var parts []string
	if waiting > 0 {
		parts = append(parts, count(waiting, "waiting message", "waiting messages"))
	}
	if receipts > 0 {
		parts = append(parts, count(receipts, "receipt", "receipts"))
	}
	return strings.Join(parts, " and ")
}
