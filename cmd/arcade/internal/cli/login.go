package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// loginCheck bounds the question whether a new login works, and a present one. A person waits.
const loginCheck = 5 * time.Second

// loginOptions are the flags of `arcade login`.
type loginOptions struct {
	secrets.Options
	named     bool   // --host or --port is given
	cloud     string // the address that they name
	url       string
	context   string
	timeout   seconds
	noBrowser bool
	withKey   bool
}

func (a *App) newLogin() *cobra.Command {
	o := loginOptions{timeout: seconds(10 * time.Minute)}
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in to Arcade in the browser",
		Long: `Open Arcade's login page in the browser and wait until you have logged in there.
The address is printed, too, for a browser that cannot be opened from here.
--with-key reads an API key from standard input instead, checks it, and then
replaces the login with it.

The Python CLI and this one share the login.`,
		Example: "  arcade login\n  arcade login --no-browser\n  arcade login --with-key < key.txt",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			o.named = cmd.Flags().Changed("host") || cmd.Flags().Changed("port")
			if o.cloud, err = cloudAt(cmd, o.Options); err != nil {
				return err
			}
			return a.login(cmd.Context(), cmd, o)
		},
	}
	cmd.Flags().StringVarP(&o.Host, "host", "h", identity.DefaultCloudHost, "Arcade Cloud's host")
	cmd.Flags().StringVarP(&o.Port, "port", "p", "", "Arcade Cloud's port (default 8000 on this machine, else 443)")
	cmd.Flags().StringVar(&o.url, "url", "", "log in at your own installation of Arcade, at this address")
	cmd.Flags().StringVar(&o.context, "context", "", "name this login, to keep it beside others")
	_ = cmd.RegisterFlagCompletionFunc("context", a.completeContexts)
	cmd.Flags().Var(&o.timeout, "timeout", timeoutHelp)
	cmd.Flags().BoolVar(&o.noBrowser, "no-browser", false, "print the address and open no browser")
	cmd.Flags().BoolVar(&o.withKey, "with-key", false, "read an API key from standard input")
	a.allowTracing(cmd)
	hostHasTheLetterH(cmd)
	return cmd
}

// setTimeout takes the Python CLI's variable for it, a number of seconds.
func (a *App) setTimeout(timeout *seconds) {
	const variable = "ARCADE_LOGIN_TIMEOUT_SECONDS"
	text := strings.TrimSpace(a.Track.Env(variable))
	if text == "" {
		return
	}
	otherwise := *timeout
	if _, err := strconv.Atoi(text); err != nil || timeout.Set(text) != nil {
		*timeout = otherwise
		a.warn(fmt.Sprintf("Warning: %s is no number of seconds from 1 to %d; %s is taken.",
			variable, longestWait/time.Second, term.Span(time.Duration(otherwise))))
	}
}

func (a *App) login(ctx context.Context, cmd *cobra.Command, o loginOptions) error {
	target, err := a.target(ctx, cmd, o)
	if err != nil {
		return err
	}
	a.context = target.Name
	if !o.withKey {
		if done, err := a.alreadyLoggedIn(ctx, o, target); done || err != nil {
			return err
		}
	}
	s, err := a.session()
	if err == nil {
		err = s.File.MakeRoom() // before the user logs in for nothing
	}
	if err != nil {
		return a.notKept(err)
	}
	if o.withKey {
		return a.loginWithKey(ctx, target)
	}
	base := target.CloudURL()
	asking, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	oauth, err := target.Cloud(a.httpClient()).OAuth(asking)
	switch {
	case errors.Is(err, identity.ErrNoOAuth):
		return failed("no login in the browser", bareAddress(base)+" has no login in the browser",
			"Log in with an API key: "+a.loginAgain(target)+" --with-key")
	case err != nil:
		return failed("cloud not asked", "cannot log in at "+bareAddress(base)+": "+cause(err),
			a.remedy(err, "Check "+a.cloudFlag+" and the network, then run the command again."))
	}
	if !cmd.Flags().Changed("no-browser") && !cmd.Flags().Changed("timeout") && a.isUnattended() {
		return failed("nobody to log in", "there is no browser here, and no terminal to show the login page's address on",
			"Set ARCADE_API_KEY, or log in with an API key: "+a.loginAgain(target)+" --with-key < key.txt; --no-browser waits for a browser elsewhere.")
	}
	if !cmd.Flags().Changed("timeout") {
		a.setTimeout(&o.timeout)
	}
	return a.loginInBrowser(ctx, target, oauth, o)
}

// target is the login that `arcade login` is to make, without its credentials: where, and in which context.
func (a *App) target(ctx context.Context, cmd *cobra.Command, o loginOptions) (identity.Credentials, error) {
	if a.cloudFlag = "--host"; o.url != "" {
		a.cloudFlag = "--url"
	}
	s, err := a.session()
	if err != nil {
		return identity.Credentials{}, err
	}
	logins, err := s.File.Logins()
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(*identity.UnbelievedError)) {
		return identity.Credentials{}, a.loginFailure(err)
	}
	a.mayAsk = o.named || o.url != "" || o.context != ""
	name := cmp.Or(o.context, a.Track.Env("ARCADE_CONTEXT"))
	known, found := logins.Find(cmp.Or(name, logins.Active))
	if o.context != "" && !found && !validContext(o.context) {
		f := wrongUsage(cmd, "invalid value for --context",
			"a context's name is a word of letters, digits, - and _, of 64 characters at most, and begins with a letter")
		f.code = exitFailure
		return identity.Credentials{}, f
	}
	switch {
	case o.url != "" && o.named:
		return identity.Credentials{}, wrongUsage(cmd, "--url with --host", "--url and --host exclude each other")
	case o.url != "":
		return a.discovered(ctx, o)
	case o.context == "" && name != "" && !found:
		return identity.Credentials{}, contextFailure(logins.Names())
	case !o.named && found && known.SelfHosted() && known.CloudURL() == "" && !o.withKey:
		return identity.Credentials{}, withoutCloud()
	case !o.named && found && known.SelfHosted(): // this login once more
		return identity.Credentials{Name: known.Name, Kind: known.Kind, EngineURL: known.EngineURL,
			CoordinatorURL: known.CoordinatorURL, DashboardURL: known.DashboardURL}, nil
	}
	return identity.Credentials{Name: cmp.Or(name, identity.DefaultContext), CoordinatorURL: o.cloud}, nil
}

// discovered is the target that an installation describes. Its context is named after its Engine's host,
// as in the Python CLI.
func (a *App) discovered(ctx context.Context, o loginOptions) (identity.Credentials, error) {
	target, err := identity.Discover(ctx, a.httpClient(), o.url)
	switch {
	case errors.Is(err, identity.ErrNoEngine):
		return target, failed("installation without TLS",
			"--url, and what is found there, have to be addresses with https://, without a password or a query",
			"Give one such as https://arcade.example.com.")
	case errors.Is(err, identity.ErrNoDiscovery):
		return target, failed("no discovery", "this server does not tell where its Arcade is: it predates that, or is no Arcade",
			"Check --url; or log in with --host HOST, which names its Arcade Cloud.")
	case ctx.Err() != nil:
		return target, errInterrupted
	case err != nil:
		return target, failed("installation not asked",
			"the installation was not found at --url: "+cause(err), a.remedy(err, "Check --url."))
	case target.CloudURL() == "" && !o.withKey:
		return target, withoutCloud()
	}
	engine, err := url.Parse(cmp.Or(target.EngineURL, target.CoordinatorURL))
	if err != nil {
		return target, err
	}
	a.again = "arcade login --url " + shellWord(o.url)
	if o.context != "" {
		a.again += " --context " + shellWord(o.context)
	}
	target.Name = cmp.Or(o.context, strings.ToLower(engine.Hostname()))
	return target, nil
}

func withoutCloud() error {
	return failed("installation without a login",
		"this installation has no Arcade Cloud to log in at", "Log in with an API key: add --with-key.")
}

// alreadyLoggedIn prints whose the login is, if it works. A login that Arcade Cloud refuses, that cannot be
// renewed, or that was kept without a project, is replaced without a logout. Flags that name another Arcade
// Cloud than the login's are an error.
func (a *App) alreadyLoggedIn(ctx context.Context, o loginOptions, target identity.Credentials) (bool, error) {
	if !a.hasContext(target.Name) {
		return false, nil
	}
	login, err := a.loggedIn()
	switch {
	case errors.Is(err, errNotLoggedIn):
		return false, nil
	case err != nil:
		return false, err
	case login.APIKey == "" && needsContext(login) != nil:
		return false, nil
	}
	_, state, err := a.check(ctx, loginCheck)
	if err = cmp.Or(err, a.untrusted); err != nil || state == loginRefused {
		return false, err
	}
	whom := byEmail("as", login)
	if !isAt(target.CloudURL(), login) {
		whom += " at " + homeOf(login)
		if o.named || o.url != "" {
			return false, failed("logged in elsewhere", "you are logged in"+whom+", and there is one login in a context",
				"Add --context NAME to have both; or run 'arcade logout', then this command again.")
		}
	}
	whom += a.inItsContext()
	line, more := "You are logged in"+whom+" already", "; 'arcade org' and 'arcade project' change where you work."
	if login.APIKey != "" {
		line, more = line+", by an API key", "."
	}
	defer a.noteKey(keyBeatsLogin)
	if state == loginUnknown {
		return true, a.print(line + ", but " + login.Server() + " does not say whether that still works. 'arcade logout' logs you out.")
	}
	return true, a.print(line + ". 'arcade logout' logs you out" + more)
}

// hasContext reports whether the file has a context of this name. A file that cannot be read may have it.
func (a *App) hasContext(name string) bool {
	s, err := a.session()
	if err != nil {
		return false
	}
	logins, err := s.File.Logins()
	_, found := logins.Find(name)
	return found || err != nil
}

// loginInBrowser keeps what the login page sends back, and tells the browser how that went.
func (a *App) loginInBrowser(ctx context.Context, target identity.Credentials, oauth identity.OAuth, o loginOptions) error {
	state, verifier := rand.Text(), identity.NewVerifier()
	server, err := identity.ListenCallback(state, a.Callback)
	if err != nil {
		return a.callbackFailure(err, target)
	}
	defer server.Close()
	oauth = oauth.At(server.RedirectURI())
	code, err := a.askBrowser(ctx, server, oauth.LoginURL(state, verifier), target, o)
	if err == nil {
		err = a.keepOAuth(ctx, target, oauth, code, verifier)
	}
	told := ""
	if err != nil && a.change == nil { // a login that is kept counts, also when its output is lost
		told = asFailure(err).what
	}
	server.Finish(told)
	return err
}

// askBrowser sends the user to the login page and waits for what the page sends back.
func (a *App) askBrowser(ctx context.Context, server *identity.Callback, page string, target identity.Credentials, o loginOptions) (
	string, error) {
	remote := a.browserIsElsewhere()
	begins := "Log in at this address:"
	switch {
	case o.noBrowser || remote:
	case a.Browse(page) != nil:
		begins, remote = "The browser could not be opened. "+begins, true
	default:
		begins = "The browser opens Arcade's login page. If it does not, log in at this address:"
	}
	timeout := time.Duration(o.timeout)
	lines := []string{begins, "", "  " + page, ""}
	if remote {
		lines = append(lines, a.otherWays(server, target), "")
	}
	lines = append(lines, fmt.Sprintf("Waiting for the login, for %s at most; Ctrl-C ends it.", inWords(timeout)))
	if err := a.print(strings.Join(lines, "\n")); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !remote && !o.noBrowser {
		select {
		case <-server.Answered():
		case <-ctx.Done():
		case <-time.After(a.Patience):
			a.note("Nothing has come from the browser yet. If it shows no login page, open the address above. " + a.otherWays(server, target))
		}
	}
	code, err := server.Wait(ctx)
	var refused *identity.RefusedError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return code, failed("login timed out", "the login was not completed within "+inWords(timeout),
			"Run the command again. "+a.otherWays(server, target))
	case errors.Is(err, context.Canceled):
		return code, errInterrupted
	case errors.As(err, &refused):
		return code, failed("login refused", "the login was refused: "+secrets.Printable(refused.Reason), "Run the command again.")
	case err != nil:
		return code, failed("login refused", "the login was not completed in the browser", "Run the command again.")
	}
	return code, nil
}

// inWords words a time to wait, which may be short in a test.
func inWords(d time.Duration) string {
	if d < time.Second {
		return d.String()
	}
	return term.Span(d)
}

// browserIsElsewhere reports whether a browser started here would open on another screen than the user's, or none.
func (a *App) browserIsElsewhere() bool {
	return a.Track.Env("BROWSER") == "" && (a.Track.Env("SSH_CONNECTION") != "" || !a.hasDisplay())
}

// isUnattended reports whether no user can see a browser, or what is printed.
func (a *App) isUnattended() bool {
	return a.Track.Env("BROWSER") == "" && !a.hasDisplay() && !a.Keyboard() && !a.Out.Interactive && !a.Err.Interactive
}

func (a *App) hasDisplay() bool {
	env := a.Track.Env
	if runtime.GOOS != "linux" {
		return env("SSH_CONNECTION") == ""
	}
	return env("DISPLAY") != "" || env("WAYLAND_DISPLAY") != "" || env("WSL_DISTRO_NAME") != ""
}

// loginAgain is the command for this login once more, whose context may not be in the file yet.
func (a *App) loginAgain(target identity.Credentials) string { return cmp.Or(a.again, loginAt(target)) }

// otherWays are the two that work when the browser runs on another machine.
func (a *App) otherWays(server *identity.Callback, target identity.Credentials) string {
	port := server.Port()
	return fmt.Sprintf("If your browser runs on another machine, run 'ssh -L %d:127.0.0.1:%d' from there to here first, "+
		"or log in with an API key: %s --with-key", port, port, a.loginAgain(target))
}

func (a *App) callbackFailure(err error, target identity.Credentials) *failure {
	var taken *identity.PortTakenError
	if errors.As(err, &taken) {
		return failed("callback port taken",
			fmt.Sprintf("port %d, where the browser is to report the login, is in use", taken.Port),
			"End the other 'arcade login', or the program that listens there, and try again.")
	}
	return failed("no callback server", "this machine's loopback addresses cannot be listened on",
		"Log in with an API key: "+a.loginAgain(target)+" --with-key")
}

// keepOAuth turns the code into a login, checks it and keeps it. Nothing is kept of a login that
// Arcade Cloud refuses or answers nonsense about; one that it cannot be asked about is kept without
// a project.
func (a *App) keepOAuth(ctx context.Context, target identity.Credentials, oauth identity.OAuth, code, verifier string) error {
	tokens, err := oauth.Exchange(ctx, code, verifier)
	switch {
	case err != nil && ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, identity.ErrStrongerLogin):
		return errStrongerLogin
	case err != nil:
		return failed("code not taken", cause(err), a.remedy(err, "Run the command again."))
	}
	login := tokens.Into(target, a.Track.Now())
	asking, cancel := context.WithTimeout(ctx, loginCheck)
	defer cancel()
	cloud := target.Cloud(a.httpClient())
	account, err := cloud.WhoAmI(asking, login)
	var places identity.Places
	if err == nil {
		login.Email, login.AccountID = account.Email, account.PrincipalID
		login.Context, places, err = firstContext(asking, cloud, login, account)
	}
	refused := failed("login refused", target.Server()+" does not accept the login that it has just made", "Run the command again.")
	if errors.Is(err, identity.ErrStrongerLogin) {
		refused = errStrongerLogin
	}
	unchecked := "this login; it is kept unchecked, and without a project. Run '" + a.loginAgain(target) + "' again later."
	if err := a.vetted(ctx, err, refused, target.Server()+" could not be asked about "+unchecked); err != nil {
		return err
	}
	if tokens.Refresh == "" {
		a.warn(fmt.Sprintf("Warning: this login cannot be renewed; it ends in %s.", term.Span(tokens.Life)))
	}
	if err := a.keep(ctx, login, account.PrincipalID); err != nil {
		return err
	}
	a.keepPlaces(login, places)
	return nil
}

// firstContext is where a new login works: the default organization and project, else the first.
func firstContext(ctx context.Context, cloud identity.Cloud, login identity.Credentials, account identity.Account) (
	_ identity.Context, p identity.Places, err error) {
	p.Organisations = account.Organisations
	if len(p.Organisations) == 0 { // whoami may leave them out
		if p.Organisations, err = cloud.Organisations(ctx, login); err != nil {
			return identity.Context{}, p, err
		}
	}
	org, ok := identity.Preferred(p.Organisations)
	if !ok {
		return identity.Context{}, p, failed("no organization", "this account belongs to no organization, so there is nothing to work in",
			"Ask the owner of an organization to invite you, then run 'arcade login' again.")
	}
	projects := account.Projects
	if len(p.Organisations) > 1 || len(projects) == 0 { // whoami lists those of all
		if projects, err = cloud.Projects(ctx, login, org.ID); err != nil {
			return identity.Context{}, p, err
		}
	}
	p.Projects = map[string][]identity.Choice{org.ID: projects}
	first, err := contextOf(org, projects)
	return first, p, err
}

// loginWithKey keeps an API key in the place of any login, also when Arcade Cloud cannot be asked about it. A
// key that Cloud refuses changes nothing.
func (a *App) loginWithKey(ctx context.Context, login identity.Credentials) error {
	key, err := a.readKey(ctx, login)
	if err != nil {
		return err
	}
	var before identity.Credentials
	if a.hasContext(login.Name) {
		before, _ = a.loggedIn()
	}
	login.APIKey = key
	asking, cancel := context.WithTimeout(ctx, loginCheck)
	defer cancel()
	var account identity.Account
	err = &identity.CloudError{} // an installation without a Cloud cannot be asked
	if login.CloudURL() != "" {
		account, err = login.Cloud(a.httpClient()).WhoAmI(asking, login)
	}
	refused := failed("key refused", login.Server()+" does not accept this API key", "Check the key, and --host or --url.")
	if err := a.vetted(ctx, err, refused, login.Server()+" could not be asked about the key; it is kept unchecked."); err != nil {
		return err
	}
	login.Email = account.Email
	if err := a.keep(ctx, login, account.PrincipalID); err != nil {
		return err
	}
	if before.Present() && before.Token() != key {
		a.note("The login" + byEmail("as", before) + " was replaced.")
	}
	return nil
}

// vetted decides whether new credentials are kept, by the error of asking Arcade Cloud about them: if Cloud has
// accepted them or, with a warning, if it cannot answer now.
func (a *App) vetted(ctx context.Context, err error, refused *failure, unchecked string) error {
	var cloud *identity.CloudError
	wrongAddress := errors.As(err, new(*net.DNSError)) || errors.As(err, new(*tls.CertificateVerificationError))
	switch isCloud := errors.As(err, &cloud); {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, identity.ErrNotAuthenticated):
		return refused
	case isCloud && cloud.Status != http.StatusOK && !wrongAddress:
		a.warnOfNetwork(err)
		a.warn("Warning: " + unchecked)
		return nil
	case isCloud: // an answer that makes no sense, or an address that cannot be right
		return failed("cloud not understood", cause(err), a.remedy(err, "Check "+a.cloudFlag+" and the network, then run the command again."))
	}
	return err
}

// readKey reads the key from standard input, hidden on a terminal.
func (a *App) readKey(ctx context.Context, target identity.Credentials) (string, error) {
	content, err := a.readHidden(ctx)
	if ctx.Err() != nil {
		return "", errInterrupted
	}
	key, wrong := track.ParseKey(content)
	words, what := "no usable key", ""
	switch {
	case errors.Is(err, term.ErrSeveralLines), errors.Is(err, term.ErrTooLongToType):
		what = "the key cannot be read: " + err.Error()
	case err != nil:
		words, what = "standard input unreadable", "the key cannot be read from standard input"
	case errors.Is(wrong, track.ErrNoKey):
		words, what = "no key", "there is no key on standard input"
	case wrong != nil:
		what = wrong.Error()
	default:
		return key, nil
	}
	return "", failed(words, what, "Pipe the key in, and nothing else: "+a.loginAgain(target)+" --with-key < key.txt")
}

func (a *App) readHidden(ctx context.Context) (string, error) {
	if a.Keyboard() {
		return a.AskHidden(ctx, "API key (not shown): ")
	}
	content, err := term.Await(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(a.In, 64<<10)) })
	return string(content), err
}

// notKept words why the credentials file cannot be written.
func (a *App) notKept(err error) error {
	return a.fileFailure("credentials not written", "the credentials cannot be kept: ", err)
}

// keep writes the login and says so.
func (a *App) keep(ctx context.Context, login identity.Credentials, principal string) error {
	s, err := a.session()
	if err != nil {
		return err
	}
	if err := s.File.Write(ctx, login); errors.Is(err, context.Canceled) {
		return errInterrupted
	} else if err != nil {
		return a.notKept(err)
	}
	a.change = identity.Login{Credential: login.Fingerprint(), Principal: principal}
	line := "You are logged in" + byEmail("as", login) + a.inItsContext() + "."
	if login.ProjectID != "" {
		line += fmt.Sprintf("\nActive project: %s / %s\n'arcade org list' and 'arcade project list' show where else you can work.",
			nameOr(login.OrgName, login.OrgID), nameOr(login.ProjectName, login.ProjectID))
	}
	if err := a.print(line); err != nil {
		return err
	}
	a.noteKey(keyBeatsLogin)
	return nil
}
