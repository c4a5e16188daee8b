package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/advice"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

func (a *App) newUsageFlush() *cobra.Command {
	timeout := seconds(10 * time.Second)
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "flush",
		Short: "Deliver what waits, now",
		Long: `Deliver every waiting message to PostHog and wait for the end. A delivery that
runs in the background is waited for, too. The exit code is 0 when nothing is
left to deliver and 1 when something is.

As the last step of a CI job, this delivers what the job recorded before its
machine disappears.`,
		Example: "  arcade usage flush\n  arcade usage flush --timeout 30s --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.flush(cmd.Context(), time.Duration(timeout), asJSON)
		},
	}
	cmd.Flags().Var(&timeout, "timeout", timeoutHelp)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// FlushResult is what `usage flush --json` prints.
type FlushResult struct {
	track.Flushed
	ElapsedMS int64  `json:"elapsed_ms"`
	Error     string `json:"error"`  // why something is left that could be sent, "" when nothing is
	Reason    string `json:"reason"` // the same as one of AdviceTable; also why something is held
	Advice    string `json:"advice"` // what to do about it
}

func (a *App) flush(ctx context.Context, timeout time.Duration, asJSON bool) error {
	if off := a.Track.Off(outbox.Consent{On: true}); off != nil { // by a variable: nothing is read
		return a.reportOff(off, asJSON)
	}
	began := a.Track.Now()
	return a.withQueue(func(q *track.Queue) error {
		var progress *term.Progress
		done, err := q.Flush(ctx, timeout, func(settled, total int) {
			if progress == nil {
				progress = a.Err.Progress(total, true)
			}
			progress.Show(settled)
		})
		progress.Wipe()
		var why advice.Line
		switch off := (*track.OffError)(nil); {
		case errors.As(err, &off):
			return a.reportOff(off, asJSON)
		case err != nil && done.Pending == 0: // the database could not even be read
			return err
		case err != nil:
			why = a.flushAdvice(err, timeout, done.Pending)
		case done.Refused:
			why = a.words().Of(track.ErrLoginRefused)
		case done.Held > 0:
			why = a.words().Of(track.ErrLoginUnknown)
		}
		result := FlushResult{
			Flushed: done, ElapsedMS: a.Track.Now().Sub(began).Milliseconds(), Reason: why.Reason, Advice: why.Advice,
		}
		if err != nil {
			result.Error = why.What
			return errors.Join(a.reportFlush(result, asJSON), adviceFailure(why, ""))
		}
		err = a.reportFlush(result, asJSON)
		if err == nil && why.Reason != "" {
			a.note("Note: " + why.What + ". " + why.Do)
		}
		return err
	})
}

// reportOff is all that flush does when tracking is off: a CI job that sets DO_NOT_TRACK and ends
// with a flush must not fail.
func (a *App) reportOff(reason error, asJSON bool) error {
	why := a.words().Of(reason)
	if asJSON {
		return a.Out.JSON(FlushResult{Error: why.What, Reason: why.Reason, Advice: why.Advice})
	}
	a.note("Note: " + why.What + ". " + why.Do)
	return nil
}

// flushAdvice says why a run ended with messages left over that could be sent.
func (a *App) flushAdvice(err error, timeout time.Duration, left int) advice.Line {
	why := a.words().Of(err)
	var delay *outbox.Delay
	if errors.As(err, &delay) && !delay.Until.IsZero() {
		wait := term.Span(max(delay.Until.Sub(a.Track.Now()), 0) + time.Second) // a span is rounded down
		why = a.words().OfDelay(err, "Run 'arcade usage flush' again in "+wait+", or leave it to a later command.")
	}
	if why.Reason == outbox.CodeTimeUp {
		given := seconds(timeout)
		why.What = fmt.Sprintf("a timeout of %s was not enough: %s left", &given, term.Count(left, "message is", "messages are"))
		why.Do = fmt.Sprintf("Run 'arcade usage flush --timeout %ds'.", int(max(6*timeout, time.Minute).Seconds()))
	}
	return why
}

func (a *App) reportFlush(result FlushResult, asJSON bool) error {
	if asJSON {
		return a.Out.JSON(result)
	}
	line := fmt.Sprintf("%s in %.1f s, %d left", term.Count(result.Delivered, "message delivered", "messages delivered"),
		float64(result.ElapsedMS)/1000, result.Pending)
	if result.Delivered+result.Pending+result.Dead == 0 {
		line = "Nothing was left to deliver"
	}
	if result.Dead > 0 {
		line += fmt.Sprintf(", %d refused for good", result.Dead)
	}
	return a.print(line + ".")
}
