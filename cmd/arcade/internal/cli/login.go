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

// loginCheck bounds the check of a new login or the present one: the user waits for it.
const loginCheck = 5 * time.Second

// loginRun is one run of `arcade login`: its flags, and what follows from them.
type loginRun struct {
	*App
	at        secrets.Options // of Arcade Cloud
	url       string
	name      string // of the context
	timeout   seconds
	noBrowser bool
	withKey   bool

	named  bool                 // --host or --port is given
	flag   string               // the one that names Arcade Cloud
	target identity.Credentials // the login to make, without its credentials
	again  string               // the command that repeats this login
	found  bool                 // the target's context is in the file, or the file cannot be read
}

func (a *App) newLogin() *cobra.Command {
	l := loginRun{App: a, timeout: seconds(10 * time.Minute)}
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in to Arcade in the browser",
		Long: `Open Arcade's login page in the browser and wait until you have logged in there.
The address is printed, too, for a browser that cannot be opened from here.
--with-key reads an API key from standard input instead, checks it, and then
replaces the login with it.

The Python CLI and this one share the login.`,
		Example: "  arcade login\n  arcade login --no-browser\n  arcade login --with-key < key.txt",
		RunE:    l.run,
	}
	flags := cmd.Flags()
	flags.StringVarP(&l.at.Host, "host", "h", identity.DefaultCloudHost, "Arcade Cloud's host")
	flags.StringVarP(&l.at.Port, "port", "p", "", "Arcade Cloud's port (default 8000 on this machine, else 443)")
	flags.StringVar(&l.url, "url", "", "log in at your own installation of Arcade, at this address")
	flags.StringVar(&l.name, "context", "", "name this login, to keep it beside others")
	_ = cmd.RegisterFlagCompletionFunc("context", a.completeContexts)
	flags.Var(&l.timeout, "timeout", timeoutHelp)
	flags.BoolVar(&l.noBrowser, "no-browser", false, "print the address and open no browser")
	flags.BoolVar(&l.withKey, "with-key", false, "read an API key from standard input")
	a.allowTracing(cmd)
	hostHasTheLetterH(cmd)
	return cmd
}

func (l *loginRun) run(cmd *cobra.Command, _ []string) error {
	ctx, given := cmd.Context(), cmd.Flags().Changed
	l.named = given("host") || given("port")
	if err := l.choose(cmd); err != nil {
		return err
	}
	if !l.withKey && l.found {
		if done, err := l.alreadyLoggedIn(ctx); done || err != nil {
			return err
		}
	}
	if err := l.file().MakeRoom(); err != nil { // before the user logs in for nothing
		return l.fileFailure("credentials not written", "the credentials cannot be kept: ", err)
	}
	if l.withKey {
		return l.withAPIKey(ctx)
	}
	address := bareAddress(l.target.CloudURL())
	oauth, err := l.target.Cloud(l.httpClient()).OAuth(ctx)
	switch _, unattended := l.browser(); {
	case errors.Is(err, identity.ErrNoOAuth):
		return failed("no login in the browser", address+" has no login in the browser", "Log in with an API key: "+l.again+" --with-key")
	case err != nil:
		return cloudFailure("cloud not asked", "cannot log in at "+address+": ", err, l.flag,
			"Check "+l.flag+" and the network, then run the command again.")
	case unattended && !given("no-browser") && !given("timeout"):
		return failed("no browser and no terminal", "there is no browser here, and no terminal to show the login page's address on",
			"Set ARCADE_API_KEY, or log in with an API key: "+l.again+" --with-key < key.txt; --no-browser waits for a browser elsewhere.")
	case !given("timeout"):
		l.setTimeout()
	}
	return l.inBrowser(ctx, oauth)
}

// setTimeout takes the timeout from the Python CLI's variable, a number of seconds.
func (l *loginRun) setTimeout() {
	const variable = "ARCADE_LOGIN_TIMEOUT_SECONDS"
	text, timeout := strings.TrimSpace(l.Track.Env(variable)), l.timeout
	if text == "" {
		return
	}
	if _, err := strconv.Atoi(text); err != nil || timeout.Set(text) != nil {
		l.warn(fmt.Sprintf("Warning: %s is not a number of seconds from 1 to %d; the login waits for %s.",
			variable, longestWait/time.Second, &l.timeout))
		return
	}
	l.timeout = timeout
}

// choose sets where to log in, and the context.
func (l *loginRun) choose(cmd *cobra.Command) error {
	cloud, err := cloudAt(cmd, l.at)
	if err != nil {
		return err
	}
	s, err := l.session()
	if err != nil {
		return err
	}
	logins, unread := s.File.Logins()
	if unread != nil && !errors.Is(unread, fs.ErrNotExist) && !errors.As(unread, new(*identity.UnbelievedError)) {
		return l.loginFailure(unread)
	}
	l.flag, l.mayAsk = "--host", l.named || l.url != "" || l.name != ""
	name := cmp.Or(l.name, l.Track.Env("ARCADE_CONTEXT"))
	known, found := logins.Find(cmp.Or(name, logins.Active))
	switch onceMore := !l.named && found && known.SelfHosted(); {
	case l.name != "" && !found && !validContext(l.name):
		f := wrongUsage(cmd, "invalid value for --context",
			"a context's name is a word of letters, digits, - and _, of 64 characters at most, and begins with a letter")
		f.code = exitFailure
		return f
	case l.url != "" && l.named:
		return wrongUsage(cmd, "--url with --host", "--url and --host exclude each other")
	case l.url != "":
		l.flag = "--url"
		err = l.discover(cmd.Context())
	case l.name == "" && name != "" && !found:
		return failed("unknown context", "there is no context of this name", "Make it with --context NAME, or unset ARCADE_CONTEXT.")
	case onceMore:
		l.target = identity.Credentials{Name: known.Name, Kind: known.Kind, EngineURL: known.EngineURL,
			CoordinatorURL: known.CoordinatorURL, DashboardURL: known.DashboardURL}
	default:
		l.target = identity.Credentials{Name: cmp.Or(name, identity.DefaultContext), CoordinatorURL: cloud}
	}
	switch {
	case err != nil:
		return err
	case l.target.CloudURL() == "" && !l.withKey:
		return failed("installation without a login",
			"this installation has no Arcade Cloud to log in at", "Log in with an API key: add --with-key.")
	}
	l.again = cmp.Or(l.again, loginAt(l.target))
	l.context = l.target.Name
	_, found = logins.Find(l.context)
	l.found = found || unread != nil
	return nil
}

// discover sets the target that the installation at --url describes. The context is named after the Engine's host, as
// in the Python CLI.
func (l *loginRun) discover(ctx context.Context) (err error) {
	l.target, err = identity.Discover(ctx, l.httpClient(), l.url)
	switch {
	case errors.Is(err, identity.ErrNoEngine):
		return failed("installation without TLS",
			"--url, and what is found there, have to be addresses with https://, without a password or a query",
			"Give one such as https://arcade.example.com.")
	case errors.Is(err, identity.ErrNoDiscovery):
		return failed("no discovery", "this server does not describe its installation: it is too old, or is not Arcade",
			"Check --url; or log in with --host HOST, which names its Arcade Cloud.")
	case err != nil:
		return cloudFailure("installation not asked", "the installation was not found at --url: ", err, l.flag, "Check --url.")
	}
	engine, err := url.Parse(cmp.Or(l.target.EngineURL, l.target.CoordinatorURL))
	if err != nil {
		return err
	}
	l.target.Name = cmp.Or(l.name, strings.ToLower(engine.Hostname()))
	l.again = "arcade login --url " + shellWord(l.url) // its context may not be in the file yet
	if l.name != "" {
		l.again += " --context " + shellWord(l.name)
	}
	return nil
}

// alreadyLoggedIn prints the owner of a login that works. A login that Arcade Cloud refuses, that cannot be renewed, or
// that has no project, is replaced without a logout. Flags that name another Arcade Cloud than the login's are an
// error.
func (l *loginRun) alreadyLoggedIn(ctx context.Context) (bool, error) {
	present, err := l.loggedIn()
	switch {
	case errors.Is(err, errNotLoggedIn), err == nil && present.APIKey == "" && needsContext(present) != nil:
		return false, nil
	case err != nil:
		return false, err
	}
	_, state, err := l.check(ctx, loginCheck, l.flag)
	switch err = cmp.Or(err, l.untrusted); {
	case state == loginRefused:
		return false, nil
	case err != nil:
		return false, err
	}
	whom := byEmail("as", present)
	if !strings.EqualFold(strings.TrimSuffix(l.target.CloudURL(), ":443"), present.CloudURL()) {
		whom += " at " + homeOf(present)
		if l.named || l.url != "" {
			return false, failed("logged in elsewhere", "you are logged in"+whom+", and a context has only one login",
				"Add --context NAME to have both; or run 'arcade logout', then this command again.")
		}
	}
	line := "You are already logged in" + whom + l.inItsContext() + either(present.APIKey != "", ", with an API key", "")
	if state == loginUnknown {
		line += ", but " + present.Server() + " does not say whether that still works"
	}
	line += ". 'arcade logout' logs you out"
	if state != loginUnknown && present.APIKey == "" {
		line += "; 'arcade org' and 'arcade project' change where you work"
	}
	defer l.noteKey(keyBeatsLogin)
	return true, l.print(line + ".")
}

// inBrowser logs in with the code that the login page sends back, and shows the outcome in the browser.
func (l *loginRun) inBrowser(ctx context.Context, oauth identity.OAuth) error {
	state, verifier := rand.Text(), identity.NewVerifier()
	server, err := identity.ListenCallback(state, l.Callback)
	var taken *identity.PortTakenError
	switch {
	case errors.As(err, &taken):
		return failed("callback port taken",
			fmt.Sprintf("port %d, where the browser is to report the login, is in use", taken.Port),
			"End the other 'arcade login', or the program that listens there, and try again.")
	case err != nil:
		return failed("no callback server", "arcade cannot listen on this machine's loopback addresses",
			"Log in with an API key: "+l.again+" --with-key")
	}
	defer server.Close()
	oauth = oauth.At(server.RedirectURI())
	code, err := l.askBrowser(ctx, server, oauth.LoginURL(state, verifier))
	if err == nil {
		err = l.keepOAuth(ctx, oauth, code, verifier)
	}
	problem := ""
	if err != nil && l.change == nil { // a stored login counts, even if its output is lost
		problem = asFailure(err).what
	}
	server.Finish(problem)
	return err
}

// askBrowser sends the user to the login page and waits for the code that the page sends back.
func (l *loginRun) askBrowser(ctx context.Context, server *identity.Callback, page string) (string, error) {
	otherWays := fmt.Sprintf("If your browser runs on another machine, run 'ssh -L %d:127.0.0.1:%[1]d' from there to here first, "+
		"or log in with an API key: %s --with-key", server.Port(), l.again)
	elsewhere, _ := l.browser()
	begins := "Log in at this address:"
	switch {
	case l.noBrowser || elsewhere:
	case l.Browse(page) != nil:
		begins, elsewhere = "The browser could not be opened. "+begins, true
	default:
		begins = "The browser opens Arcade's login page. If it does not, log in at this address:"
	}
	begins += "\n\n  " + page + "\n\n"
	if elsewhere {
		begins += otherWays + "\n\n"
	}
	if err := l.print(begins + "Waiting for the login, for " + l.timeout.String() + " at most; Ctrl-C ends it."); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.timeout))
	defer cancel()
	if !elsewhere && !l.noBrowser {
		select {
		case <-server.Answered():
		case <-ctx.Done():
		case <-time.After(l.Patience):
			l.note("Nothing has come from the browser yet. If it shows no login page, open the address above. " + otherWays)
		}
	}
	code, err := server.Wait(ctx)
	var refused *identity.RefusedError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = failed("login timed out", "the login was not completed within "+l.timeout.String(), "Run the command again. "+otherWays)
	case errors.As(err, &refused):
		err = failed("login refused", "the login was refused: "+secrets.Printable(refused.Reason), "Run the command again.")
	case err != nil && !errors.Is(err, context.Canceled):
		err = failed("login refused", "the login was not completed in the browser", "Run the command again.")
	}
	return code, err
}

// browser reports whether a browser started here would open elsewhere than before the user, or nowhere; and
// whether, besides, no user can see what is printed.
func (l *loginRun) browser() (elsewhere, unattended bool) {
	env, remote := l.Track.Env, l.Track.Env("SSH_CONNECTION") != ""
	display := !remote
	if runtime.GOOS == "linux" {
		display = env("DISPLAY")+env("WAYLAND_DISPLAY")+env("WSL_DISTRO_NAME") != ""
	}
	if env("BROWSER") != "" {
		return false, false
	}
	return remote || !display, !display && !l.Keyboard() && !l.Out.Interactive && !l.Err.Interactive
}

// keepOAuth exchanges the code for a login, checks it and stores it. A login is not stored if Arcade Cloud refuses it or
// its answer makes no sense; if Cloud cannot be asked, the login is stored without a project.
func (l *loginRun) keepOAuth(ctx context.Context, oauth identity.OAuth, code, verifier string) error {
	tokens, err := oauth.Exchange(ctx, code, verifier)
	switch {
	case err != nil && ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, identity.ErrStrongerLogin):
		return errStrongerLogin
	case err != nil:
		return cloudFailure("code not taken", "", err, l.flag, "Run the command again.")
	}
	made := tokens.Into(l.target, l.Track.Now())
	asking, cancel := context.WithTimeout(ctx, loginCheck)
	defer cancel()
	cloud := made.Cloud(l.httpClient())
	account, err := cloud.WhoAmI(asking, made)
	var places identity.Places
	if err == nil {
		made.Email, made.AccountID = account.Email, account.PrincipalID
		made.Context, places, err = firstContext(asking, cloud, made, account)
	}
	refused := failed("login refused", made.Server()+" does not accept the login that it has just made", "Run the command again.")
	unchecked := "about this login; it is kept unchecked, and without a project. Run '" + l.again + "' again later."
	if err := l.keep(ctx, made, account.PrincipalID, err, refused, unchecked); err != nil {
		return err
	}
	if tokens.Refresh == "" {
		l.warn(fmt.Sprintf("Warning: this login cannot be renewed; it ends in %s.", term.Span(tokens.Life)))
	}
	l.keepPlaces(made, places)
	return nil
}

// firstContext is the organization and project of a new login: the default ones, else the first.
func firstContext(ctx context.Context, cloud identity.Cloud, made identity.Credentials, account identity.Account) (
	_ identity.Context, p identity.Places, err error) {
	p.Organisations = account.Organisations
	if len(p.Organisations) == 0 { // whoami may leave them out
		if p.Organisations, err = cloud.Organisations(ctx, made); err != nil {
			return identity.Context{}, p, err
		}
	}
	org, ok := identity.Preferred(p.Organisations)
	if !ok {
		return identity.Context{}, p, failed("no organization", "this account belongs to no organization, so there is nothing to work in",
			"Ask the owner of an organization to invite you, then run 'arcade login' again.")
	}
	projects := account.Projects
	if len(p.Organisations) > 1 || len(projects) == 0 { // whoami lists the projects of all
		if projects, err = cloud.Projects(ctx, made, org.ID); err != nil {
			return identity.Context{}, p, err
		}
	}
	p.Projects = map[string][]identity.Choice{org.ID: projects}
	first, err := contextOf(org, projects)
	return first, p, err
}

// withAPIKey replaces any login with an API key, even if Arcade Cloud cannot be asked about it. A key that Cloud refuses
// changes nothing.
func (l *loginRun) withAPIKey(ctx context.Context) (err error) {
	made := l.target
	if made.APIKey, err = l.readKey(ctx); err != nil {
		return err
	}
	var before identity.Credentials
	if l.found {
		before, _ = l.loggedIn()
	}
	asking, cancel := context.WithTimeout(ctx, loginCheck)
	defer cancel()
	account, err := accountOf(asking, l.httpClient(), made)
	made.Email = account.Email
	refused := failed("key refused", made.Server()+" does not accept this API key", "Check the key, and --host or --url.")
	if err := l.keep(ctx, made, account.PrincipalID, err, refused, "about the key; it is kept unchecked."); err != nil {
		return err
	}
	if before.Present() && before.Token() != made.APIKey {
		l.note("The login" + byEmail("as", before) + " was replaced.")
	}
	return nil
}

// readKey reads the key from standard input; a terminal does not show it.
func (l *loginRun) readKey(ctx context.Context) (string, error) {
	var content string
	var err error
	if l.Keyboard() {
		content, err = l.AskHidden(ctx, "API key (not shown): ")
	} else {
		content, err = term.Await(ctx, func() (string, error) {
			input, err := io.ReadAll(io.LimitReader(l.In, 64<<10))
			return string(input), err
		})
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
	return "", failed(words, what, "Pipe the key in, and nothing else: "+l.again+" --with-key < key.txt")
}

// keep stores new credentials and says so. Err is the error of asking Arcade Cloud about them: it must have accepted
// them or, with a warning, be unable to answer now.
func (l *loginRun) keep(
	ctx context.Context, made identity.Credentials, principal string, err error, refused *failure, unchecked string,
) error {
	var cloud *identity.CloudError
	wrongAddress := errors.As(err, new(*net.DNSError)) || errors.As(err, new(*tls.CertificateVerificationError))
	switch isCloud := errors.As(err, &cloud); {
	case ctx.Err() != nil:
		return errInterrupted
	case err == nil:
	case errors.Is(err, identity.ErrStrongerLogin) && made.APIKey == "": // a person's login
		return errStrongerLogin
	case errors.Is(err, identity.ErrNotAuthenticated):
		return refused
	case isCloud && cloud.Status != http.StatusOK && !wrongAddress:
		l.warnOfNetwork(err, l.flag)
		l.warn("Warning: " + made.Server() + " could not be asked " + unchecked)
	case isCloud: // an answer that makes no sense, or an address that cannot be right
		return cloudFailure("cloud not understood", "", err, l.flag, "Check "+l.flag+" and the network, then run the command again.")
	default:
		return err
	}
	if err := l.file().Write(ctx, made); err != nil {
		return l.fileFailure("credentials not written", "the credentials cannot be kept: ", err)
	}
	l.change = identity.Login{Credential: made.Fingerprint(), Principal: principal}
	line := "You are logged in" + byEmail("as", made) + l.inItsContext() + "."
	if made.ProjectID != "" {
		line += "\nActive project: " + workplace(made.Context) +
			"\n'arcade org list' and 'arcade project list' show where else you can work."
	}
	defer l.noteKey(keyBeatsLogin)
	return l.print(line)
}
