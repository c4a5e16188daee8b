package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// newUsage makes the group of commands that look at the outbox and move it along. They are not
// recorded: looking at the queue must not change it.
func (a *app) newUsage() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "usage",
		Short: "See, deliver or switch off what arcade records about its use",
		Long: `Every arcade command leaves one usage event: which command, how long it took,
whether it failed. Events are kept in a database on this machine and delivered
in the background, later if need be. These commands show them, deliver them now
or stop it altogether; they are not recorded themselves.`,
		Example: "  arcade usage inspect\n  arcade usage flush\n  arcade usage disable",
		Args:    cobra.ArbitraryArgs,
		RunE:    group,
	}
	cmd.AddCommand(
		a.newUsageStatus(), a.newUsageInspect(), a.newUsageFlush(), a.newUsageExport(),
		a.newUsageEnable(), a.newUsageDisable(), a.newUsageRetry(), a.newUsageClear(),
	)
	return cmd
}

// snapshot is what the database says at one moment.
type snapshot struct {
	state    identity.State
	since    time.Time // when this home got its anon id
	counts   outbox.Counts
	schedule outbox.Schedule
	messages []outbox.Message
	consent  outbox.Consent
	schema   int
}

// look reads a snapshot without changing anything. A database that does not exist yet reads as
// empty.
func (a *app) look(ctx context.Context, box *outbox.Outbox, filter outbox.Filter) (s snapshot, err error) {
	s.consent = box.ConsentBeside()
	err = box.View(ctx, func(tx *sql.Tx) (err error) {
		if s.state, _, err = identity.Load(ctx, tx); err != nil {
			return err
		}
		if s.since, err = identity.Since(ctx, tx); err != nil {
			return err
		}
		if s.counts, err = outbox.CountsTx(ctx, tx); err != nil {
			return err
		}
		if s.schedule, err = outbox.ScheduleTx(ctx, tx); err != nil {
			return err
		}
		if s.consent, err = box.ConsentTx(ctx, tx); err != nil {
			return err
		}
		if s.schema, err = outbox.SchemaTx(ctx, tx); err != nil {
			return err
		}
		s.messages, err = outbox.MessagesTx(ctx, tx, filter)
		return err
	})
	if errors.Is(err, outbox.ErrNone) {
		return s, nil
	}
	if err != nil {
		return s, outboxFailure(err)
	}
	return s, nil
}

// outboxFailure words an error of the database for a person.
func outboxFailure(err error) *failure {
	if errors.Is(err, outbox.ErrNewer) {
		return failed("database newer", "the usage database was written by a newer arcade",
			"Update arcade. Until then this version neither records nor delivers.")
	}
	return failed("database", "the usage database cannot be used: "+cause(err),
		"Check that its directory is writable and the disk not full; a damaged database is replaced by the next recorded command.")
}

// printJSON prints a value as one indented JSON document.
func (a *app) printJSON(value any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// count words a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
