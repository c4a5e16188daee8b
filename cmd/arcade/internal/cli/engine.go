package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/advice"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// engineOptions are the flags of `arcade secret`.
type engineOptions struct {
	secrets.Options
	org, project string // ids, for one command
}

// engine is the Engine that a command uses, and what its messages say of it.
type engine struct {
	*secrets.Client
	app       *App
	inProject string // " in project 'NAME'", "" for the login's default one
	refused   string // what to do when it refuses the credentials
	personal  bool   // it belongs to the login, which is a person's
}

// engine makes the client for the Engine that --host names, else for that of the credential in force. Wrong flags are
// reported before anything is read.
func (a *App) engine(cmd *cobra.Command, at engineOptions) (*engine, error) {
	base, err := serverAddress(cmd, at.Options)
	if err != nil {
		return nil, err
	}
	if at.org != "" && at.project == "" {
		return nil, wrongUsage(cmd, "--org without --project", "--org needs --project: secrets belong to a project")
	}
	env, named := a.Track.Env, cmd.Flags().Changed("host")
	used, err := a.Track.Credential()
	switch {
	case used.FromFile && env("ARCADE_URL") != "" && env("ARCADE_CONTEXT") == "" && !named:
		return nil, failed("ARCADE_URL without a key",
			"ARCADE_URL is set without ARCADE_API_KEY, and does not say where the login's secrets are",
			"Set both or neither, or name a context with ARCADE_CONTEXT.")
	case err != nil && !used.FromFile: // useLogin reports what is wrong with a login
		return nil, err
	}
	a.mayAsk = named
	e := &engine{Client: &secrets.Client{HTTP: a.httpClient(), Base: base, Organisation: at.org, Project: at.project}, app: a}
	e.Waiting = func(d time.Duration) { a.warn("The Engine is busy: going on in " + term.Span(d) + ".") }
	if used.FromFile {
		used.Login, err = e.useLogin(cmd.Context(), at)
	} else {
		err = e.useKey(used.Login, at, named)
	}
	if err == nil && !named {
		e.Base, err = a.engineOf(used, at.Options)
		a.mayAsk = !used.FromFile // a variable has named it
	}
	if err != nil {
		return nil, err
	}
	if used.FromFile {
		if !named && cmd.Name() != "list" && e.Base.Host != secrets.DefaultHost {
			a.note("This login's Engine is " + e.Base.String() + ".")
		}
		owns := used.Login.Owns(e.Base)
		if e.personal = owns && used.Login.APIKey == ""; !owns {
			e.refused = "Check --host: this login belongs to " + homeOf(used.Login) + "."
		}
	} else if unused, err := a.loggedIn(); err == nil {
		a.note("The key in ARCADE_API_KEY is used, and not the login" + byEmail("of", unused) + ".")
	}
	if !secrets.MayCarryKey(e.Base) { // then --no-tls was given: nothing else chooses it
		a.warn("Warning: without TLS, the credentials and the secrets can be read on their way to " + e.Base.Host)
	}
	return e, nil
}

// useLogin gives the client the login, and its project unless the flags name another.
func (e *engine) useLogin(ctx context.Context, at engineOptions) (identity.Credentials, error) {
	login, err := e.app.renewedLogin(ctx)
	switch {
	case errors.Is(err, errNotLoggedIn):
		return login, failed(errNotLoggedIn.words, errNotLoggedIn.what, "Run 'arcade login', or set ARCADE_API_KEY.")
	case err == nil && login.APIKey == "" && (at.org == "" || at.project == ""):
		err = needsContext(login)
	}
	if err != nil {
		return login, err
	}
	project := cmp.Or(at.project, login.ProjectName, login.ProjectID)
	if project != "" && (at.project != "" || !e.app.file().Places(login).Default(login.Context)) {
		e.inProject = " in project '" + secrets.Printable(project) + "'"
	}
	e.Organisation, e.Project = cmp.Or(at.org, login.OrgID), cmp.Or(at.project, login.ProjectID)
	e.Token, e.HTTP, e.refused = login.Token(), e.app.asLogin(login), "Run '"+loginAt(login)+"'."
	return login, nil
}

// useKey gives the client a key, which has its own project: the one in the credentials file is the login's.
func (e *engine) useKey(key identity.Credentials, at engineOptions, named bool) error {
	switch e.Token = key.APIKey; {
	case at.project != "" && at.org == "":
		return failed("--project without --org", "a key from ARCADE_API_KEY has no organization", "Give --org, too.")
	case named:
		e.refused = "Check ARCADE_API_KEY and --host, or unset the key."
	case key.EngineURL != "":
		e.refused = "Check ARCADE_API_KEY and ARCADE_URL, or unset both."
	default:
		e.refused = "Check ARCADE_API_KEY, or unset it."
	}
	return nil
}

// engineOf is the Engine of a credential, for a command without --host. The other flags change how it is reached.
func (a *App) engineOf(used identity.Using, at secrets.Options) (*url.URL, error) {
	address, err := used.Engine()
	switch {
	case err == nil:
	case used.FromFile && used.Login.EngineURL != "":
		return nil, failed("no engine known", "the login names an Engine that it cannot be sent to: "+bareAddress(used.Login.EngineURL),
			"Name the Engine with --host.")
	case used.FromFile:
		return nil, failed("no engine known",
			"it is not known which Engine belongs to this login: it is one at "+homeOf(used.Login),
			"Name the Engine with --host.")
	default:
		context := "is self-hosted"
		if _, err := a.loggedIn(); err != nil && !errors.Is(err, errNotLoggedIn) {
			context = "may be self-hosted: " + asFailure(err).what
		}
		return nil, failed("key without a host", "ARCADE_API_KEY alone goes to Arcade Cloud, and the active context "+context,
			"Set ARCADE_URL, or give --host "+secrets.DefaultHost+".")
	}
	base, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if at.Port != "" {
		base.Host = net.JoinHostPort(base.Hostname(), at.Port)
	}
	if at.TLS {
		base.Scheme = "https"
	}
	if at.NoTLS {
		base.Scheme = "http"
	}
	return base, nil
}

// unusedKey is why commands refuse the key in ARCADE_API_KEY, nil if they use it.
func (a *App) unusedKey(key identity.Credentials, apart bool) error {
	_, err := a.engineOf(identity.Using{Login: key, Apart: apart}, secrets.Options{})
	return err
}

// noteKey prints a line about the key in ARCADE_API_KEY if commands use it, else a warning of why they refuse it.
func (a *App) noteKey(line string) {
	key, apart, err := a.Track.KeyInForce()
	if err == nil && key.Present() {
		err = a.unusedKey(key, apart)
	}
	if err != nil {
		a.warnOf(err)
	} else if key.Present() {
		a.note(line)
	}
}

const keyBeatsLogin = "ARCADE_API_KEY is set: commands use that key and not this login."

// failure words an error of package secrets.
func (e *engine) failure(err error) *failure {
	words := map[*secrets.Problem]string{
		secrets.ErrReported: "engine reported an error", secrets.ErrListIncomplete: "list of secrets without an end",
		secrets.ErrNotEngine: "no engine answered", secrets.ErrBadToken: "unusable API key",
	}
	f := failed("engine not asked", err.Error(), "")
	var problem *secrets.Problem
	if errors.As(err, &problem) {
		f.words, f.hint = cmp.Or(words[problem], f.words), problem.Do
	}
	line, known := networkLine(err, "")
	if known {
		f.words, f.what, f.hint = "engine not reached: "+strings.ReplaceAll(line.Reason, "_", " "), line.What, line.Do
	}
	var status *secrets.StatusError
	switch {
	case known && line.Reason != advice.Trouble && line.Reason != advice.Busy:
	case errors.As(err, &status) && status.Stronger && e.personal:
		return errStrongerLogin
	case errors.As(err, &status):
		f.words = fmt.Sprintf("engine answered with HTTP %d", status.Status)
		if status.Status == http.StatusUnauthorized {
			f.hint = e.refused
		}
	case errors.As(err, new(*secrets.AmbiguousKeyError)):
		f.words = "several secrets with one key"
	case errors.Is(err, context.Canceled):
		f.words, f.what = errInterrupted.words, "interrupted before the Engine has answered"
	}
	return f
}

// outcomes prints and counts what became of each key.
type outcomes struct {
	*engine
	total  int            // of the distinct keys
	verb   string         // of success, in the past
	begins string         // the beginning of a failure's line
	pairs  []secrets.Pair // to set, in the order of the results

	words  string // of the first failure
	hint   string // of the first failure that has one
	barred bool   // a 401 or 403 was printed, which holds for all keys

	done, skipped, missing, failed, untried int
}

// progressFrom is the least number of keys that deserve a progress bar.
const progressFrom = 10

// printEach prints the results in the order given, beside a progress bar.
func (o *outcomes) printEach(results iter.Seq[secrets.Result]) {
	progress := o.app.Err.Progress(o.total, o.total >= progressFrom && !o.app.traced)
	printed := 0
	var screen sync.Mutex // the client's goroutines print, too
	beside := func(print func()) {
		screen.Lock()
		defer screen.Unlock()
		progress.Wipe()
		print()
		progress.Show(printed)
	}
	warn := o.Waiting
	o.Waiting = func(d time.Duration) { beside(func() { warn(d) }) }
	progress.Show(0)
	for result := range results {
		beside(func() {
			o.print(printed, result)
			printed++
		})
	}
	progress.Wipe()
}

func (o *outcomes) print(i int, result secrets.Result) {
	key := secrets.Printable(result.Key)
	if result.Type != "" {
		key += "' of type '" + secrets.Printable(result.Type)
	}
	switch {
	case result.Err == nil:
		o.done++
		did := o.verb
		if o.pairs != nil {
			if ending := secrets.Ending(o.pairs[i].Value); ending != "" {
				did = "with value ending in ..." + ending + " " + did
			}
		}
		o.app.print(fmt.Sprintf("Secret '%s' %s successfully%s", key, did, o.inProject))
	case errors.Is(result.Err, secrets.ErrNoSuchSecret):
		if o.missing++; o.total > 1 { // else the command fails with it
			o.app.warn(fmt.Sprintf("Warning: Secret with key '%s' not found, skipping", key))
		}
	case errors.Is(result.Err, secrets.ErrNotTried):
		o.untried++
	default:
		o.fail(key, result.Err)
	}
}

// fail counts a failed key, and prints why. With several keys each gets its own advice.
func (o *outcomes) fail(key string, err error) {
	o.failed++
	f := o.failure(err)
	line := o.begins + " '" + key + "': " + f.what
	o.words = cmp.Or(o.words, f.words)
	if o.hint = cmp.Or(o.hint, f.hint); o.total > 1 && f.hint != "" {
		line += ". " + f.hint
	}
	var status *secrets.StatusError
	barred := errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden)
	if !barred || !o.barred {
		o.app.printError(line)
	}
	o.barred = o.barred || barred
}

// end ends the command: with a summary, unless there is only one key.
func (o *outcomes) end(ctx context.Context) error {
	summary := term.Count(o.done, "secret", "secrets") + " " + o.verb
	for i, n := range []int{o.skipped, o.missing, o.failed, o.untried} {
		if n > 0 {
			summary += fmt.Sprintf(", %d %s", n, []string{"skipped", "not found", "failed", "not tried"}[i])
		}
	}
	switch {
	case ctx.Err() != nil && o.total > 1:
		o.app.printError(summary)
		return ctx.Err()
	case o.failed+o.untried > 0 && o.total == 1:
		return failed(o.words, "", o.hint)
	case o.failed+o.untried > 0:
		return failed(o.words, summary, "")
	case o.total+o.skipped > 1:
		return o.app.print(summary + ".")
	}
	return nil
}
