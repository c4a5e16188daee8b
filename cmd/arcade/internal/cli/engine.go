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

// engine makes the client for the Engine that --host names, else for that of the credential in force. It reports
// wrong flags before it reads anything.
func (a *App) engine(cmd *cobra.Command, at engineOptions) (*secrets.Client, error) {
	base, err := serverAddress(cmd, at.Options)
	if err != nil {
		return nil, err
	}
	if at.org != "" && at.project == "" {
		return nil, wrongUsage(cmd, "--org without --project", "--org needs --project: secrets belong to a project")
	}
	env, named := a.Track.Env, cmd.Flags().Changed("host")
	if key, wrong := a.Track.APIKey(); env("ARCADE_URL") != "" && key == "" && wrong == nil && env("ARCADE_CONTEXT") == "" && !named {
		return nil, failed("ARCADE_URL without a key",
			"ARCADE_URL is set without ARCADE_API_KEY, and says nothing of where the login's secrets are",
			"Set both or neither, or name a context with ARCADE_CONTEXT.")
	}
	client := &secrets.Client{HTTP: a.httpClient(), Base: base, Waiting: a.warnOfWait}
	a.mayAsk = named
	used, err := a.authenticate(cmd.Context(), client, at)
	if err != nil {
		return nil, err
	}
	if !named {
		if client.Base, err = a.engineOf(used, at.Options); err != nil {
			return nil, err
		}
		a.mayAsk = !used.FromFile // a variable has named it
		if used.FromFile && cmd.Name() != "list" && client.Base.Host != secrets.DefaultHost {
			a.note("This login's Engine is " + client.Base.String() + ".")
		}
	}
	if used.FromFile {
		a.refused = "Run '" + loginAt(used.Login) + "'."
		owns := used.Login.Owns(client.Base)
		if a.personal = owns && used.Login.APIKey == ""; !owns {
			a.refused = "Check --host: this login belongs to " + homeOf(used.Login) + "."
		}
	} else {
		a.refused = "Check ARCADE_API_KEY, or unset it."
		switch {
		case named:
			a.refused = "Check ARCADE_API_KEY and --host, or unset the key."
		case used.Login.EngineURL != "":
			a.refused = "Check ARCADE_API_KEY and ARCADE_URL, or unset both."
		}
		if login, err := a.loggedIn(); err == nil {
			a.note("The key in ARCADE_API_KEY is used, and not the login" + byEmail("of", login) + ".")
		}
	}
	if !secrets.MayCarryKey(client.Base) { // then --no-tls was given: nothing else chooses it
		a.warn("Warning: without TLS, the credentials and the secrets can be read on their way to " + client.Base.Host)
	}
	return client, nil
}

// warnOfWait explains a pause.
func (a *App) warnOfWait(d time.Duration) {
	a.warn(fmt.Sprintf("The Engine is busy: going on in %s.", term.Span(d)))
}

// engineOf is the Engine that a credential goes to without --host. The other flags change how it is reached.
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

// noteKey prints a line about the key in ARCADE_API_KEY if commands use it, or what keeps them from that.
func (a *App) noteKey(line string) {
	switch key, apart, err := a.keyInForce(); {
	case err != nil:
		a.warnOf(err)
	case key.Present():
		if unused := a.unusedKey(key, apart); unused != nil {
			a.warnOf(unused)
			return
		}
		a.note(line)
	}
}

// unusedKey is why commands refuse the key in ARCADE_API_KEY, nil if they use it.
func (a *App) unusedKey(key identity.Credentials, apart bool) error {
	_, err := a.engineOf(identity.Using{Login: key, Apart: apart}, secrets.Options{})
	return err
}

// authenticate gives the client the credential in force, and returns it. A key from the environment has a project
// of its own: the context in the credentials file belongs to the file's login.
func (a *App) authenticate(ctx context.Context, client *secrets.Client, at engineOptions) (identity.Using, error) {
	client.Organisation, client.Project = at.org, at.project
	if _, _, err := a.keyInForce(); err != nil {
		return identity.Using{}, err
	}
	used, _ := a.Track.Credential() // renewedLogin says what is wrong with a login file
	if !used.FromFile && used.Login.Present() {
		if at.project != "" && at.org == "" {
			return used, failed("--project without --org", "a key from ARCADE_API_KEY has no organization", "Give --org, too.")
		}
		client.Token = used.Login.APIKey
		return used, nil
	}
	login, err := a.renewedLogin(ctx)
	switch {
	case errors.Is(err, errNotLoggedIn):
		return used, failed(errNotLoggedIn.words, errNotLoggedIn.what, "Run 'arcade login', or set ARCADE_API_KEY.")
	case err == nil && login.APIKey == "" && (at.org == "" || at.project == ""):
		err = needsContext(login)
	}
	if err != nil {
		return used, err
	}
	used.Login = login
	if at.project != "" || !a.places(login).Default(login.Context) {
		a.project = cmp.Or(at.project, login.ProjectName, login.ProjectID)
	}
	client.Organisation, client.Project = cmp.Or(at.org, login.OrgID), cmp.Or(at.project, login.ProjectID)
	client.Token, client.HTTP = login.Token(), a.asLogin(login)
	return used, nil
}

// inProject is " in project 'NAME'", and nothing for the login's default project.
func (a *App) inProject() string {
	if a.project == "" {
		return ""
	}
	return " in project '" + secrets.Printable(a.project) + "'"
}

// engineFailure words an error of package secrets.
func (a *App) engineFailure(err error) *failure {
	f := failed("engine not asked", err.Error(), "")
	var problem *secrets.Problem
	if errors.As(err, &problem) {
		f.hint = problem.Do
	}
	var status *secrets.StatusError
	line, known := networkLine(err, "")
	if known {
		f.words, f.what, f.hint = "engine not reached: "+strings.ReplaceAll(line.Reason, "_", " "), line.What, line.Do
	}
	switch {
	case known && line.Reason != advice.Trouble && line.Reason != advice.Busy:
	case errors.As(err, &status) && status.Stronger && a.personal:
		return errStrongerLogin
	case errors.As(err, &status):
		f.words = fmt.Sprintf("engine answered with HTTP %d", status.Status)
		if status.Status == http.StatusUnauthorized {
			f.hint = cmp.Or(a.refused, f.hint)
		}
	case errors.As(err, new(*secrets.AmbiguousKeyError)):
		f.words = "several secrets with one key"
	case errors.Is(err, secrets.ErrReported):
		f.words = "engine reported an error"
	case errors.Is(err, secrets.ErrListIncomplete):
		f.words = "list of secrets without an end"
	case errors.Is(err, secrets.ErrNotEngine):
		f.words = "no engine answered"
	case errors.Is(err, secrets.ErrBadToken):
		f.words = "unusable API key"
	case errors.Is(err, context.Canceled):
		f.words, f.what = errInterrupted.words, "interrupted before the Engine has answered"
	}
	return f
}

// outcomes prints the outcome of each key, and counts them.
type outcomes struct {
	app    *App
	total  int    // of the distinct keys
	done   string // the word for success
	counts outcomeCounts
	words  string // of the first failure
	hint   string // the first advice
	barred bool   // a 401 or 403 was printed; it holds for all keys
}

type outcomeCounts struct{ done, skipped, missing, failed, untried int }

// progressFrom is the number of keys that are worth a progress bar.
const progressFrom = 10

// printEach calls print for each result, in the order given, beside a progress bar.
func (o *outcomes) printEach(client *secrets.Client, results iter.Seq[secrets.Result], print func(i int, result secrets.Result)) {
	progress := o.app.Err.Progress(o.total, o.total >= progressFrom && !o.app.traced)
	var screen sync.Mutex // the client's goroutines print, too
	printed := 0
	client.Waiting = func(d time.Duration) {
		screen.Lock()
		defer screen.Unlock()
		progress.Wipe()
		o.app.warnOfWait(d)
		progress.Show(printed)
	}
	progress.Show(0)
	for result := range results {
		screen.Lock()
		progress.Wipe()
		print(printed, result)
		printed++
		progress.Show(printed)
		screen.Unlock()
	}
	progress.Wipe()
}

// fail counts a failed key, and prints why behind line. With several keys each gets its own advice.
func (o *outcomes) fail(err error, line string) {
	if errors.Is(err, secrets.ErrNotTried) {
		o.counts.untried++
		return
	}
	o.counts.failed++
	f := o.app.engineFailure(err)
	line += f.what
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

// err ends the command: with a summary, unless there is only one key.
func (o *outcomes) err(ctx context.Context) error {
	switch c := o.counts; {
	case ctx.Err() != nil && o.total > 1:
		o.app.printError(o.summary())
		return ctx.Err()
	case c.failed+c.untried > 0 && o.total == 1:
		return failed(o.words, "", o.hint)
	case c.failed+c.untried > 0:
		return failed(o.words, o.summary(), "")
	case o.total+c.skipped > 1:
		return o.app.print(o.summary() + ".")
	}
	return nil
}

func (o *outcomes) summary() string {
	text := term.Count(o.counts.done, "secret", "secrets") + " " + o.done
	for _, other := range []struct {
		n    int
		word string
	}{{o.counts.skipped, "skipped"}, {o.counts.missing, "not found"}, {o.counts.failed, "failed"}, {o.counts.untried, "not tried"}} {
		if other.n > 0 {
			text += fmt.Sprintf(", %d %s", other.n, other.word)
		}
	}
	return text
}
