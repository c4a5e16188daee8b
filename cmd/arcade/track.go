package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// recordLimit bounds what recording may cost a command when the disk hangs. It is longer than
// the waits for the two locks together (see outbox.Config): 15 s in a crowd that gets on, and
// then 5 s.
const recordLimit = 21 * time.Second

const notice = `arcade notes which command ran, how long it took and whether it failed,
and sends that to Arcade: no arguments, no values, no file contents.
'arcade usage inspect' shows all of it; 'arcade usage disable' or
ARCADE_USAGE_TRACKING=0 switches it off.
`

// track records the command that has just ended. Nothing that happens here changes what the
// command printed or its exit code.
func (a *app) track(cmd *cobra.Command, err error) {
	if a.unheard || !isRecorded(cmd) || !a.switches().on {
		return
	}
	// A write to a stderr that nobody reads any more would end the process, and with another
	// exit code than the command's.
	signal.Ignore(syscall.SIGPIPE)
	ended := a.now()
	event, properties := a.describe(commandName(cmd), ended.Sub(a.started), err)
	message := outbox.Message{
		UUID: a.newUUID(), Kind: outbox.Capture, Event: event, Properties: properties,
		RecordedAt: ended.Truncate(time.Millisecond),
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if recover() != nil {
				done <- errors.New("recording ran into a bug")
			}
		}()
		growStack(-1)
		done <- a.record(context.Background(), message)
	}()
	select {
	case err := <-done:
		a.debug(message, err)
	case <-time.After(recordLimit):
		a.debug(message, errors.New("the disk does not answer"))
	}
}

// growStack gives the goroutine the stack that SQLite needs, at once and while it is empty. Growing
// in steps below SQLite's frames copies them each time, and reads tables of the program for it that
// nobody needs otherwise: 1.4 MB of memory and a tenth of a millisecond. Go grows a stack when a
// function with a large frame is called; a negative index keeps the frame from being touched.
//
//go:noinline
func growStack(index int) byte {
	if index < 0 {
		return 0
	}
	var frame [24 << 10]byte
	return frame[index]
}

// isRecorded excludes what asks for help and what looks at the queue: looking must not change
// what is looked at.
func isRecorded(cmd *cobra.Command) bool {
	if versionFlag := cmd.Flags().Lookup("version"); versionFlag != nil && versionFlag.Changed {
		return false
	}
	top := cmd
	for top.HasParent() && top.Parent().HasParent() {
		top = top.Parent()
	}
	unrecorded := []string{"usage", "help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}
	return !slices.Contains(unrecorded, top.Name())
}

// commandName is the dotted path below the program's name, `root` for the program itself.
func commandName(cmd *cobra.Command) string {
	_, path, found := strings.Cut(cmd.CommandPath(), " ")
	if !found {
		return "root"
	}
	return strings.ReplaceAll(path, " ", ".")
}

// record commits the event together with what the command did to the identity, and starts a
// flusher if one is due.
func (a *app) record(ctx context.Context, message outbox.Message) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	l := a.newLedger(home)
	if !l.box.ConsentBeside().On && !a.switches().forced {
		return outbox.ErrOff
	}
	r := recording{app: a, ledger: l, credentials: l.readCredentials()}
	if err := l.advance(ctx, &message, r.input, r.look); err != nil {
		return err
	}
	// The event is committed. Whatever fails from here on, the next command makes up for it.
	a.trouble("usage.json not written", l.behind)
	a.trouble("not synced", l.box.Leave())
	if r.first {
		a.printNotice()
	}
	if !r.due || a.env(childMarker) != "" || l.box.FlusherRunning() || r.early && l.box.FlusherWaiting() {
		return nil
	}
	a.point("before-spawn")
	a.trouble("no flusher started", a.spawn(a.childEnvironment(r.keyNeeded)))
	return nil
}

// printNotice keeps its lines where there is room for them.
func (a *app) printNotice() {
	text := strings.TrimSuffix(notice, "\n")
	if t := a.terminal(a.err); t.interactive {
		text = t.wrap(strings.ReplaceAll(text, "\n", " "))
	}
	fmt.Fprintln(a.err, text)
}

// recording is what one transaction of record finds out.
type recording struct {
	app         *app
	ledger      *ledger
	credentials fileCredentials

	first     bool // nothing was ever recorded here: the user has to be told
	due       bool // a flusher should run now
	early     bool // it has to sit out the rest of a back-off first
	keyNeeded bool // the event waits for the principal of the key in the environment
}

// look reads consent and schedule, first thing in the transaction.
func (r *recording) look(ctx context.Context, tx *sql.Tx) error {
	now := r.app.now()
	consent, err := r.ledger.box.ConsentTx(ctx, tx)
	if err != nil {
		return err
	}
	if !consent.On && !r.app.switches().forced {
		return outbox.ErrOff
	}
	if r.first = consent.Since.IsZero(); r.first {
		if err := outbox.PresumeConsentTx(ctx, tx, now); err != nil {
			return err
		}
	}
	schedule, err := outbox.ScheduleTx(ctx, tx)
	wait := schedule.Next(now).Sub(now)
	r.due, r.early = err == nil && r.app.postHogKey() != "" && wait <= flusherPatience, wait > 0
	return err
}

// input turns what the command did, and the credentials it could have used, into the state
// machine's terms.
func (r *recording) input(ctx context.Context, tx *sql.Tx) (identity.Input, error) {
	key := identity.FingerprintKey(r.app.env("ARCADE_API_KEY"))
	keyPrincipal, err := identity.Principal(ctx, tx, key)
	if err != nil {
		return nil, err
	}
	r.keyNeeded = key != "" && keyPrincipal == ""
	switch change := r.app.change.(type) {
	case nil:
		principal, err := identity.Principal(ctx, tx, r.credentials.fingerprint)
		return identity.Command{
			Credential: r.credentials.fingerprint, Principal: principal, Unreadable: r.credentials.unreadable,
			Key: key, KeyPrincipal: keyPrincipal,
		}, err
	case identity.Login:
		if change.Principal == "" {
			return change, nil
		}
		return change, identity.Remember(ctx, tx, change.Credential, change.Principal, r.app.now())
	case identity.Logout:
		change.Key, change.KeyPrincipal = key, keyPrincipal
		return change, nil
	default:
		return change, nil
	}
}

// trouble tells somebody who asked for it what failed although the event was recorded.
func (a *app) trouble(what string, err error) {
	if err != nil && a.env("ARCADE_USAGE_DEBUG") == "1" {
		fmt.Fprintf(a.err, "usage: %s: %v\n", what, err)
	}
}

// debug tells somebody who asked for it what was recorded, or why nothing was.
func (a *app) debug(m outbox.Message, err error) {
	switch {
	case a.env("ARCADE_USAGE_DEBUG") != "1":
	case err != nil:
		fmt.Fprintf(a.err, "usage: not recorded: %v\n", err)
	default:
		fmt.Fprintf(a.err, "usage: recorded %s %s %s\n", m.UUID, m.Event, m.Properties)
	}
}
