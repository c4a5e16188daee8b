package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	cloudOptions
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
The address is printed as well, for a browser that cannot be opened from here.
With --with-key an API key is read from standard input instead; it is checked
first, and replaces whatever login there is.

The Python CLI uses the same login, whichever of the two has made it.`,
		Example: "  arcade login\n  arcade login --no-browser\n  arcade login --with-key < key.txt",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			return a.login(cmd.Context(), cmd, o)
		},
	}
	cmd.Flags().StringVarP(&o.host, "host", "h", identity.DefaultCloudHost, "Arcade Cloud's host")
	cmd.Flags().IntVarP(&o.port, "port", "p", 0, "Arcade Cloud's port (default 8000 on this machine, else 443)")
	cmd.Flags().Var(&o.timeout, "timeout", "give up after this long: seconds, or a duration such as 5m")
	cmd.Flags().BoolVar(&o.noBrowser, "no-browser", false, "only print the address")
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
			variable, longestLogin/time.Second, term.Span(time.Duration(otherwise))))
	}
}

// longestLogin is how long somebody can be waited for.
const longestLogin = 24 * time.Hour

// seconds is a duration that may be given as a number of seconds, as the Python CLI takes it.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }

func (s *seconds) Type() string { return "duration" }

// Set takes "60" and "1m".
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, notNumber := strconv.Atoi(text); notNumber == nil {
		d, err = time.Duration(min(n, int(longestLogin/time.Second)+1))*time.Second, nil // more would overflow
	}
	if err == nil && (d <= 0 || d > longestLogin) {
		err = errors.New("not a wait")
	}
	*s = seconds(d)
	return err
}

func (a *App) login(ctx context.Context, cmd *cobra.Command, o loginOptions) error {
	base, err := o.base()
	if err != nil {
		return err // check was before
	}
	if !o.withKey {
		if done, err := a.alreadyLoggedIn(ctx, cmd, base); done || err != nil {
			return err
		}
	}
	if err := a.makeRoom(); err != nil { // nobody has to log in for nothing
		return err
	}
	if o.withKey {
		return a.loginWithKey(ctx, base)
	}
	asking, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	oauth, err := identity.Cloud{BaseURL: base, HTTP: a.httpClient()}.OAuth(asking)
	switch {
	case errors.Is(err, identity.ErrNoOAuth):
		return failed("no login in the browser", bareAddress(base)+" has no login in the browser",
			"Log in with an API key: "+loginAt(base)+" --with-key")
	case err != nil:
		return failed("cloud not asked", "cannot log in at "+bareAddress(base)+": "+cause(err),
			remedy(err, "Check --host and the network, then run the command again."))
	}
	if !cmd.Flags().Changed("no-browser") && !cmd.Flags().Changed("timeout") && a.nobodyIsHere() {
		return failed("nobody to log in", "there is no browser here, and no terminal to show the login page's address on",
			"Set ARCADE_API_KEY, or log in with an API key: "+loginAt(base)+" --with-key < key.txt; --no-browser waits for a browser elsewhere.")
	}
	if !cmd.Flags().Changed("timeout") {
		a.setTimeout(&o.timeout)
	}
	return a.loginInBrowser(ctx, base, oauth, o)
}

// alreadyLoggedIn tells as whom, if the login works. One that Arcade Cloud refuses, that cannot be
// renewed, or that was kept without a project, is replaced without a logout. Whoever has named another
// Arcade Cloud than the login's is not logged in there, which is an error.
func (a *App) alreadyLoggedIn(ctx context.Context, cmd *cobra.Command, base string) (bool, error) {
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
	if err != nil || state == loginRefused {
		return false, err
	}
	whom := asWhom(login)
	if !isAt(base, login) {
		whom += " at " + bareAddress(login.CloudURL())
		if cmd.Flags().Changed("host") || cmd.Flags().Changed("port") {
			return false, failed("logged in elsewhere", "you are logged in"+whom+", and there is one login at a time",
				"Run 'arcade logout', then this command again.")
		}
	}
	line, more := "You are logged in"+whom+" already", "; 'arcade org' and 'arcade project' change where you work."
	if login.APIKey != "" {
		line, more = line+", by an API key", "."
	}
	defer a.tellOfKey()
	if state == loginUnknown {
		return true, a.say(line + ", but Arcade Cloud cannot be asked whether that still works. 'arcade logout' logs you out.")
	}
	return true, a.say(line + ". 'arcade logout' logs you out" + more)
}

// loginInBrowser keeps what the login page sends back, and tells the browser how that went.
func (a *App) loginInBrowser(ctx context.Context, base string, oauth identity.OAuth, o loginOptions) error {
	state, verifier := rand.Text(), identity.NewVerifier()
	server, err := identity.ListenCallback(state, a.Callback)
	if err != nil {
		return callbackFailure(err)
	}
	defer server.Close()
	oauth = oauth.At(server.RedirectURI())
	code, err := a.askBrowser(ctx, server, oauth.LoginURL(state, verifier), o)
	if err == nil {
		err = a.keepOAuth(ctx, base, oauth, code, verifier)
	}
	told := ""
	if err != nil && a.change == nil { // a login that was kept is one, whoever reads of it
		told = asFailure(err).what
	}
	server.Finish(told)
	return err
}

// askBrowser sends the user to the login page and waits for what the page sends back.
func (a *App) askBrowser(ctx context.Context, server *identity.Callback, page string, o loginOptions) (string, error) {
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
		lines = append(lines, a.otherWays(server), "")
	}
	lines = append(lines, fmt.Sprintf("Waiting for the login, for %s at most; Ctrl-C ends it.", inWords(timeout)))
	if err := a.say(strings.Join(lines, "\n")); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !remote && !o.noBrowser {
		select {
		case <-server.Answered():
		case <-ctx.Done():
		case <-time.After(a.Patience):
			a.tell("Nothing has come from the browser yet. If it shows no login page, open the address above. " + a.otherWays(server))
		}
	}
	code, err := server.Wait(ctx)
	var refused *identity.RefusedError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return code, failed("login timed out", "nobody logged in within "+inWords(timeout),
			"Run the command again. "+a.otherWays(server))
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

// browserIsElsewhere tells whether a browser that is started here would be seen by nobody.
func (a *App) browserIsElsewhere() bool {
	return a.Track.Env("BROWSER") == "" && (a.Track.Env("SSH_CONNECTION") != "" || !a.hasDisplay())
}

// nobodyIsHere tells whether nobody would see a browser, nor what is printed.
func (a *App) nobodyIsHere() bool {
	return a.Track.Env("BROWSER") == "" && !a.hasDisplay() && !a.Keyboard() && !a.Out.Interactive && !a.Err.Interactive
}

func (a *App) hasDisplay() bool {
	env := a.Track.Env
	if runtime.GOOS != "linux" {
		return env("SSH_CONNECTION") == ""
	}
	return env("DISPLAY") != "" || env("WAYLAND_DISPLAY") != "" || env("WSL_DISTRO_NAME") != ""
}

// otherWays are the two that work when the browser runs on another machine.
func (a *App) otherWays(server *identity.Callback) string {
	port := server.Port()
	return fmt.Sprintf("If your browser runs on another machine, run 'ssh -L %d:127.0.0.1:%d' from there to here first, "+
		"or log in with an API key: arcade login --with-key", port, port)
}

func callbackFailure(err error) *failure {
	var taken *identity.PortTakenError
	if errors.As(err, &taken) {
		return failed("callback port taken",
			fmt.Sprintf("port %d, where the browser is to report the login, is in use", taken.Port),
			"End the other 'arcade login', or the program that listens there, and try again.")
	}
	return failed("no callback server", "this machine's loopback addresses cannot be listened on",
		"Use 'arcade login --with-key' with an API key instead.")
}

// keepOAuth turns the code into a login, checks it and keeps it. Nothing is kept of a login that
// Arcade Cloud refuses or answers nonsense about; one that it cannot be asked about is kept without
// a project.
func (a *App) keepOAuth(ctx context.Context, base string, oauth identity.OAuth, code, verifier string) error {
	tokens, err := oauth.Exchange(ctx, code, verifier)
	switch {
	case err != nil && ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return failed("code not taken", cause(err), remedy(err, "Run the command again."))
	}
	login := tokens.Into(identity.Credentials{CoordinatorURL: base}, a.Track.Now())
	asking, cancel := context.WithTimeout(ctx, loginCheck)
	defer cancel()
	cloud := identity.Cloud{BaseURL: base, HTTP: a.httpClient()}
	account, err := cloud.WhoAmI(asking, login)
	var places identity.Places
	if err == nil {
		login.Email = account.Email
		login.Context, places, err = firstContext(asking, cloud, login, account)
	}
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, identity.ErrNotAuthenticated):
		return failed("login refused", "Arcade Cloud does not accept the login that it has just made", "Run the command again.")
	case isNoAnswer(err):
		a.warnOfNetwork(err)
		a.warn("Warning: Arcade Cloud could not be asked about this login; it is kept unchecked, and without a project. " +
			"Run '" + loginAt(base) + "' again later.")
	case err != nil:
		return notUnderstood(err)
	}
	if tokens.Refresh == "" {
		a.warn(fmt.Sprintf("Warning: this login cannot be renewed; it ends in %s.", term.Span(tokens.Life)))
	}
	if err := a.keep(ctx, login, account.PrincipalID); err != nil {
		return err
	}
	a.keepPlaces(login, func(p *identity.Places) { *p = places })
	return nil
}

// isNoAnswer tells a Cloud that cannot say now from one that says what makes no sense, and from an address
// that cannot be right.
func isNoAnswer(err error) bool {
	var cloud *identity.CloudError
	wrongAddress := errors.As(err, new(*net.DNSError)) || errors.As(err, new(*tls.CertificateVerificationError))
	return errors.As(err, &cloud) && cloud.Status != http.StatusOK && !wrongAddress
}

func notUnderstood(err error) error {
	if errors.As(err, new(*identity.CloudError)) {
		return failed("cloud not understood", cause(err), remedy(err, "Check --host and the network, then run the command again."))
	}
	return err
}

// firstContext is where a new login works: the default organization and project, else the first.
func firstContext(ctx context.Context, cloud identity.Cloud, login identity.Credentials, account identity.Account) (_ identity.Context, p identity.Places, err error) {
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

// loginWithKey takes a key that somebody else has made, in the place of any login. A key that Cloud
// refuses changes nothing.
func (a *App) loginWithKey(ctx context.Context, base string) error {
	key, err := a.readKey(ctx)
	if err != nil {
		return err
	}
	if before, err := a.loggedIn(); err == nil {
		defer func() {
			if before.Token() != key && a.change != nil {
				a.tell("The login" + asWhom(before) + " was replaced.")
			}
		}()
	}
	return a.keepKey(ctx, identity.Credentials{APIKey: key, CoordinatorURL: base})
}

// keepKey checks a key and keeps it, also when Arcade Cloud cannot be asked.
func (a *App) keepKey(ctx context.Context, login identity.Credentials) error {
	asking, cancel := context.WithTimeout(ctx, loginCheck)
	defer cancel()
	account, err := identity.Cloud{BaseURL: login.CloudURL(), HTTP: a.httpClient()}.WhoAmI(asking, login)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, identity.ErrNotAuthenticated):
		return failed("key refused", "Arcade Cloud does not accept this API key", "Check the key and --host.")
	case isNoAnswer(err):
		a.warnOfNetwork(err)
		a.warn("Warning: Arcade Cloud could not be asked about the key; it is kept unchecked.")
	case err != nil:
		return notUnderstood(err)
	}
	login.Email = cmp.Or(account.Email, login.Email)
	return a.keep(ctx, login, account.PrincipalID)
}

// readKey reads the key from standard input, hidden on a terminal.
func (a *App) readKey(ctx context.Context) (string, error) {
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
	return "", failed(words, what, "Pipe the key in, and nothing else: arcade login --with-key < key.txt")
}

func (a *App) readHidden(ctx context.Context) (string, error) {
	if a.Keyboard() {
		return a.AskHidden(ctx, "API key (not shown): ")
	}
	content, err := term.Await(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(a.In, 64<<10)) })
	return string(content), err
}

// makeRoom finds a disk that is full or read-only.
func (a *App) makeRoom() error {
	s, err := a.session()
	if err == nil {
		err = a.notKept(s, s.File.MakeRoom())
	}
	return err
}

// notKept words why a login cannot be kept.
func (a *App) notKept(s identity.Session, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return errInterrupted
	}
	return a.credentialsFailure("credentials not written", "the credentials cannot be kept: ", s.File.Path, err)
}

// keep writes the login and says so.
func (a *App) keep(ctx context.Context, login identity.Credentials, principal string) error {
	s, err := a.session()
	if err != nil {
		return err
	}
	if err := a.notKept(s, s.File.Write(ctx, login)); err != nil {
		return err
	}
	a.change = identity.Login{Credential: login.Fingerprint(), Principal: principal}
	line := "You are logged in" + asWhom(login) + "."
	if login.ProjectID != "" {
		line += fmt.Sprintf("\nActive project: %s / %s\n'arcade org list' and 'arcade project list' show where else you can work.",
			nameOr(login.OrgName, login.OrgID), nameOr(login.ProjectName, login.ProjectID))
	}
	if err := a.say(line); err != nil {
		return err
	}
	a.tellOfKey()
	return nil
}

// tellOfKey says what beats a login.
func (a *App) tellOfKey() {
	if a.Track.Env("ARCADE_API_KEY") != "" {
		a.tell("ARCADE_API_KEY is set: commands use that key and not this login.")
	}
}
