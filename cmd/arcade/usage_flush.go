package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

const (
	// flusherLife bounds a detached flusher: a watchdog ends the process.
	flusherLife = 10 * time.Second
	// flusherWork is when it stops by itself, so that it can still settle what it knows.
	flusherWork = 9 * time.Second
	// flusherPatience is how much of its life a flusher may spend waiting for a back-off to
	// end, so that the last command of an outage is delivered without another one.
	flusherPatience = 8 * time.Second
	// cloudTimeout bounds the question whose a credential is.
	cloudTimeout = 2 * time.Second
)

func (a *app) newUsageFlush() *cobra.Command {
	var timeout time.Duration
	var asJSON, detached bool
	cmd := &cobra.Command{
		Use:   "flush",
		Short: "Deliver what waits, now",
		Long: `Deliver every waiting message to PostHog and wait for the end. The exit code is
0 when nothing is left to deliver and 1 when something is. A flusher that is at
work in the background is waited for.

As the last step of a CI job this delivers what the job recorded before its
machine disappears.`,
		Example: "  arcade usage flush\n  arcade usage flush --timeout 30s --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if detached {
				return a.flushDetached(cmd.Context())
			}
			if timeout <= 0 {
				return wrongUsage(cmd, "invalid value for --timeout", "--timeout must be more than nothing, such as 10s")
			}
			return a.flush(cmd.Context(), timeout, asJSON)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "give up after this long")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.Flags().BoolVar(&detached, "detached", false, "")
	if err := cmd.Flags().MarkHidden("detached"); err != nil { // only for a flag that does not exist
		panic(err)
	}
	return cmd
}

// flushDetached is the life of the background flusher. Nobody reads what it has to say.
func (a *app) flushDetached(ctx context.Context) error {
	watchdog := time.AfterFunc(flusherLife, func() { a.exit(exitFailure) })
	defer watchdog.Stop()
	if a.env(childMarker) != "" {
		if err := a.inheritEnvironment(); err != nil {
			return err
		}
	}
	home, err := a.home()
	if err != nil || !a.switches().on || a.postHogKey() == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flusherWork)
	defer cancel()
	l := a.newLedger(home)
	defer l.box.Leave() // a last close would delete the WAL, and the next command pay for a new one
	f := a.newFlusher(l)
	f.Patience = flusherPatience
	_, err = f.Run(ctx)
	return err
}

func (a *app) newFlusher(l *ledger) *outbox.Flusher {
	r := &resolver{app: a, ledger: l, asked: map[string]bool{}}
	return &outbox.Flusher{
		Outbox: l.box, Endpoint: a.postHogHost(), Key: a.postHogKey(), Transport: a.network(), Jitter: a.jitter,
		Resolve: r.resolve, Anonymous: r.spoke, Forced: a.switches().forced,
	}
}

// flushResult is what `usage flush --json` prints.
type flushResult struct {
	Delivered int    `json:"delivered"` // by this run
	Pending   int    `json:"pending"`   // left
	Dead      int    `json:"dead"`      // refused for good in this run
	ElapsedMS int64  `json:"elapsed_ms"`
	Error     string `json:"error"` // why something is left, "" when nothing is
}

func (a *app) flush(ctx context.Context, timeout time.Duration, asJSON bool) error {
	if s := a.switches(); !s.on {
		return a.tellOff(s.by, asJSON)
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	l := a.newLedger(home)
	defer l.box.Close()
	before, err := a.look(ctx, l.box, outbox.Filter{Limit: 1})
	if err != nil && l.box.Mend(ctx) == nil { // damage that no command has met
		before, err = a.look(ctx, l.box, outbox.Filter{Limit: 1})
	}
	if err != nil {
		return err
	}
	if by := a.offBy(before.consent); by != "" {
		return a.tellOff(by, asJSON)
	}
	result, failure := a.drain(ctx, l, before.counts.Pending, timeout)
	after, err := a.look(ctx, l.box, outbox.Filter{Limit: 1})
	if err != nil {
		return err
	}
	if by := a.offBy(after.consent); by != "" { // since a moment ago
		return a.tellOff(by, asJSON)
	}
	result.Pending = after.counts.Pending
	result.ElapsedMS = a.now().Sub(a.started).Milliseconds()
	if after.counts.Pending == 0 {
		failure = nil
	}
	return a.reportFlush(result, failure, asJSON)
}

// tellOff is all that flush does when tracking is off: a CI job that sets DO_NOT_TRACK and ends
// with a flush must not fail.
func (a *app) tellOff(by string, asJSON bool) error {
	what := fmt.Sprintf("tracking is off (%s): nothing is sent", by)
	if asJSON {
		return a.printJSON(flushResult{Error: what})
	}
	_, err := fmt.Fprintf(a.err, "Note: %s.\n", what)
	return err
}

// drain runs a flusher in the foreground, with progress on a terminal.
func (a *app) drain(ctx context.Context, l *ledger, pending int, timeout time.Duration) (flushResult, *failure) {
	if pending == 0 {
		return flushResult{}, nil
	}
	if a.postHogKey() == "" {
		return flushResult{}, failed("no key", "no PostHog key is set, so nothing can be sent",
			"Set ARCADE_USAGE_KEY; only release builds bring a key along.")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	f := a.newFlusher(l)
	f.Wait, f.Now = timeout, true
	progress := a.newProgress(pending)
	progress.show(0) // the first answer may take a while
	f.Progress = func(r outbox.Result) { progress.show(r.Delivered + r.Dead) }
	total, err := f.Run(ctx)
	progress.done()
	return flushResult{Delivered: total.Delivered, Dead: total.Dead}, a.flushFailure(err)
}

// flushFailure says why a run ended with messages left over.
func (a *app) flushFailure(err error) *failure {
	var delay *outbox.Delay
	switch {
	case err == nil:
		// Only an alias is left, which waits for its principal and for no network.
		return failed("waiting for the principal", "a message waits until Arcade Cloud says whose the credentials are",
			"Check them with 'arcade whoami', or log in again.")
	case errors.As(err, &delay) && !delay.Until.IsZero():
		return failed("server asked to wait", fmt.Sprintf("PostHog asked to wait %s more (%s)", span(delay.Until.Sub(a.now())), delay.Reason),
			"Nothing is lost: the first command after that delivers.")
	case errors.As(err, &delay):
		return failed("not delivered", "not everything could be delivered: "+delay.Reason,
			"Nothing is lost: a later command tries again. Check the network and ARCADE_USAGE_HOST.")
	case errors.Is(err, outbox.ErrBusy):
		return failed("flusher busy", "another flusher was at work until the time was up", "Try again with a longer --timeout.")
	case errors.Is(err, outbox.ErrOff):
		return failed("tracking off", "tracking is off", "Run 'arcade usage enable' to record and send again.")
	default:
		return outboxFailure(err)
	}
}

func (a *app) reportFlush(result flushResult, f *failure, asJSON bool) error {
	if f != nil {
		result.Error = f.what
	}
	if asJSON {
		if err := a.printJSON(result); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.out, "%s in %.1f s, %d left", count(result.Delivered, "message delivered", "messages delivered"),
			float64(result.ElapsedMS)/1000, result.Pending)
		if result.Dead > 0 {
			fmt.Fprintf(a.out, ", %d refused for good", result.Dead)
		}
		fmt.Fprintln(a.out, ".")
	}
	if f != nil {
		return f
	}
	return nil
}

// resolver finds out whose the undecided messages are.
type resolver struct {
	app    *app
	ledger *ledger
	asked  map[string]bool // fingerprints: each is asked about once in a flusher's life
}

// resolve asks Arcade Cloud about the credentials that messages wait for and that are at hand,
// within cloudTimeout. What Cloud does not tell stays undecided and goes out anonymously.
func (r *resolver) resolve(ctx context.Context) error {
	file := r.ledger.readCredentials()
	wanted, err := r.wanted(ctx, file)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, cloudTimeout)
	defer cancel()
	for _, c := range r.atHand(file) {
		fingerprint := c.Fingerprint()
		if !wanted[fingerprint] || r.asked[fingerprint] {
			continue
		}
		r.asked[fingerprint] = true
		principal, err := r.app.newCloud(c).Principal(asking, c)
		if err != nil { // slow, unreachable or "not authenticated": all the same here
			continue
		}
		if err := r.learn(ctx, fingerprint, principal); err != nil {
			return err
		}
	}
	return nil
}

// atHand returns the credentials that this process can present: the file's and the key's of
// the environment.
func (r *resolver) atHand(file fileCredentials) []identity.Credentials {
	var list []identity.Credentials
	if file.fingerprint != "" {
		list = append(list, file.Credentials)
	}
	if key := r.app.env("ARCADE_API_KEY"); key != "" {
		list = append(list, identity.Credentials{APIKey: key, CoordinatorURL: file.CoordinatorURL})
	}
	return list
}

// wanted returns the fingerprints that messages wait for: events by their own, a waiting alias
// by that of the machine's state.
func (r *resolver) wanted(ctx context.Context, file fileCredentials) (map[string]bool, error) {
	wanted := map[string]bool{}
	err := r.ledger.box.InTx(ctx, func(tx *sql.Tx) error {
		fingerprints, err := outbox.CredentialsTx(ctx, tx)
		if err != nil {
			return err
		}
		state, _, err := identity.Load(ctx, tx)
		for _, f := range append(fingerprints, state.Credential) {
			wanted[f] = true
		}
		return err
	})
	return wanted, err
}

// learn looks at the credentials file again: it may have changed while Cloud was asked.
func (r *resolver) learn(ctx context.Context, fingerprint, principal string) error {
	return r.ledger.advance(ctx, nil, func(ctx context.Context, tx *sql.Tx) (identity.Input, error) {
		learned := identity.Learned{
			Credential: fingerprint, Principal: principal,
			InFile: fingerprint == r.ledger.readCredentials().fingerprint,
		}
		return learned, identity.Remember(ctx, tx, fingerprint, principal, r.app.now())
	}, nil)
}

// spoke notes that events go out as anonID, which may have to be stitched to a person later.
func (r *resolver) spoke(ctx context.Context, tx *sql.Tx, anonID string) error {
	state, _, err := identity.Load(ctx, tx)
	if err != nil || state.AnonID != anonID || state.Spoke {
		return err
	}
	next := state
	next.Spoke = true
	return identity.Save(ctx, tx, state, next, r.app.now())
}
