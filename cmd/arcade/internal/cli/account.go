package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/advice"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// session gives access to this user's login, and renews it when needed. The error can be track.ErrNoHome.
func (a *App) session() (identity.Session, error) {
	home, err := a.Track.Home()
	file := home.Credentials
	file.Context = cmp.Or(a.context, file.Context)
	return identity.Session{
		File: file, HTTP: a.httpClient(), Now: a.Track.Now,
		Waiting: func() { a.note("Waiting for another arcade, which is renewing the login.") },
	}, err
}

// file is the session's file, for a command that has read the login, so that there is a home.
func (a *App) file() identity.CredentialsFile {
	s, _ := a.session()
	return s.File
}

// loggedIn returns the login as it is in the file. The error is worded.
func (a *App) loggedIn() (login identity.Credentials, err error) {
	s, err := a.session()
	if err == nil {
		login, err = s.File.Read()
	}
	return login, a.unusable(login, err)
}

// renewedLogin is loggedIn with a token that is still good.
func (a *App) renewedLogin(ctx context.Context) (login identity.Credentials, err error) {
	s, err := a.session()
	if err == nil {
		login, err = s.Credentials(ctx)
	}
	return login, a.unusable(login, err)
}

// unusable is why a login cannot be used, nil if it can; err is the error of reading it.
func (a *App) unusable(login identity.Credentials, err error) error {
	address := login.CloudURL()
	switch _, wrong := httpsend.ParseAddress(address, identity.DefaultCloudURL); {
	case err != nil:
		return a.loginFailure(err)
	case !login.Present():
		return errNotLoggedIn
	case address != "" && wrong != nil:
		return failed("credentials with an unusable address", "the credentials file has an address of Arcade Cloud that cannot be right",
			"Run 'arcade logout', then 'arcade login'.")
	}
	return nil
}

// loginFailure words an error of the credentials file, or of a call to Arcade Cloud that the command depends on.
func (a *App) loginFailure(err error) error {
	var unbelieved *identity.UnbelievedError
	var unknown *identity.UnknownContextError
	switch {
	case errors.Is(err, identity.ErrStrongerLogin):
		return errStrongerLogin
	case errors.Is(err, identity.ErrLoginEnded), errors.Is(err, identity.ErrNotAuthenticated):
		return failed("login ended", "your login has ended", "Run '"+a.loginCommand()+"'.")
	case errors.As(err, new(*identity.CloudError)):
		return cloudFailure("cloud not asked", "", err, "", "Check Arcade Cloud's address, then run the command again.")
	case errors.Is(err, fs.ErrNotExist):
		return errNotLoggedIn
	case errors.As(err, &unbelieved):
		path := a.words().Path(unbelieved.Path)
		if unbelieved.Chmod {
			return failed("credentials not private", "others can read or change "+path+", so its login is not used",
				"Run 'chmod 600 "+path+"'.")
		}
		return failed("credentials not private", path+" is not yours alone, so its login is not used",
			"Set ARCADE_WORK_DIR to a directory of your own and run 'arcade login'; 'arcade secret' also takes ARCADE_API_KEY.")
	case errors.As(err, &unknown):
		return contextFailure(unknown.Names)
	case errors.Is(err, identity.ErrLoginChanged):
		return failed("login changed", "another program has logged in or out meanwhile", "Run the command again.")
	case errors.Is(err, identity.ErrCredentialsNewer):
		return failed("credentials newer", "the credentials file was made by a newer program, or is damaged",
			"Update arcade; or run 'arcade logout --all', which removes the file, then 'arcade login'.")
	case errors.Is(err, identity.ErrCredentialsInvalid):
		return failed("credentials damaged", "the credentials file is damaged",
			"Run 'arcade logout', which removes it, then 'arcade login'.")
	case errors.Is(err, identity.ErrCredentialsBusy):
		return failed("credentials busy", "another process has been renewing the login for too long", "Run the command again.")
	}
	return a.fileFailure("credentials unusable", "the credentials file cannot be used: ", err)
}

// fileFailure words the system's error about the credentials file; before says what it prevented.
func (a *App) fileFailure(words, before string, err error) error {
	s, homeless := a.session()
	if homeless != nil {
		return homeless
	}
	trouble := track.FileTrouble(s.File.Path, err)
	if trouble == nil {
		return failed(words, before+cause(err), "Move "+a.words().Path(s.File.Path)+" away, then run the command again.")
	}
	f := adviceFailure(a.words().Of(trouble), before)
	f.words = words
	return f
}

// contextFailure is the failure of an unknown context; names are the known ones.
func contextFailure(names []string) error {
	if len(names) == 0 {
		return errNotLoggedIn
	}
	return failed("unknown context", "there is no context of this name", "There are: "+secrets.Printable(strings.Join(names, ", "))+".")
}

// needsContext refuses a login that cannot choose its project, or has chosen none.
func needsContext(login identity.Credentials) error {
	switch {
	case login.APIKey != "":
		return failed("login with an API key", "this login is an API key, which belongs to one project and opens no other",
			"Run 'arcade logout', then 'arcade login', to log in as a person.")
	case login.OrgID == "" || login.ProjectID == "":
		return failed("no active project", "this login has no organization and project to work in", "Run '"+loginAt(login)+"'.")
	}
	return nil
}

// loginState is Arcade Cloud's answer about a login.
type loginState string

const (
	loginWorks   loginState = "works"
	loginRefused loginState = "refused" // it ended, or Cloud does not accept it
	loginUnknown loginState = "unknown" // Cloud cannot be asked
)

// check asks Arcade Cloud about the login, and renews it first if it has expired. The error is an interrupt, what to do
// about a refused login, or why it cannot be renewed on this machine.
func (a *App) check(ctx context.Context, limit time.Duration, flag string) (identity.Account, loginState, error) {
	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, _ := a.session() // the caller has read the login
	var account identity.Account
	login, err := s.Credentials(asking)
	if err == nil {
		account, err = accountOf(asking, a.asLogin(login), login)
	}
	state, known := a.stateFrom(ctx, err, flag)
	switch {
	case known && state != loginRefused:
		return account, state, nil
	case known && login.APIKey != "":
		return account, state, adviceFailure(a.words().Of(track.ErrLoginRefused), "")
	}
	return account, state, a.loginFailure(err)
}

// accountOf asks Arcade Cloud for the account of credentials. For an installation without a Cloud the error is that of
// an unusable answer.
func accountOf(ctx context.Context, client *http.Client, c identity.Credentials) (identity.Account, error) {
	if c.CloudURL() == "" {
		return identity.Account{}, &identity.CloudError{}
	}
	return c.Cloud(client).WhoAmI(ctx, c)
}

// stateFrom is the state of credentials, from the error of asking Arcade Cloud about them. Known is false for an
// interrupt, and an error that came before the question. If the network is why there is no answer, it warns.
func (a *App) stateFrom(ctx context.Context, err error, flag string) (state loginState, known bool) {
	switch {
	case err == nil:
		return loginWorks, true
	case ctx.Err() != nil:
		return loginUnknown, false
	case errors.Is(err, identity.ErrNotAuthenticated), errors.Is(err, identity.ErrLoginEnded):
		return loginRefused, true
	case errors.As(err, new(*identity.CloudError)), errors.Is(err, context.DeadlineExceeded):
		a.warnOfNetwork(err, flag)
		return loginUnknown, true
	}
	return loginUnknown, false
}

// warnOfNetwork warns of a call without a usable answer that the command can do without. For a refused certificate it
// sets untrusted instead: that is never for want of a network.
func (a *App) warnOfNetwork(err error, flag string) {
	var cloud *identity.CloudError
	line, known := networkLine(err, flag)
	switch {
	case errors.As(err, new(*tls.CertificateVerificationError)):
		a.untrusted = failed("cloud not asked", line.What, line.Do)
		return
	case !known && errors.As(err, &cloud) && cloud.Status != 0:
		line = advice.Line{What: cause(err), Do: "Check " + cmp.Or(flag, "Arcade Cloud's address") + ", then run the command again."}
	case !known:
		return
	}
	if line.Sentence() != a.warned {
		a.warned = line.Sentence()
		a.warn("Warning: " + a.warned)
	}
}

// warnOf warns of an error that the command can do without.
func (a *App) warnOf(err error) {
	f := asFailure(err)
	a.warn("Warning: " + f.what + ". " + f.hint)
}

func (a *App) httpClient() *http.Client {
	return &http.Client{Transport: toArcade{a.Track.ToArcade(), a}}
}

// asLogin makes a client whose calls carry a login. When a server refuses a token that looked good, because it was
// revoked or a clock is wrong, the client renews it and asks once more.
func (a *App) asLogin(login identity.Credentials) *http.Client {
	s, _ := a.session() // the login comes from a home
	client := a.httpClient()
	client.Transport = &identity.Transport{Session: s, Login: login, Next: client.Transport}
	return client
}

// toArcade carries requests to Arcade, and prints them for --debug: method, address, status and duration. Headers,
// bodies, queries and user names hold secrets and are left out.
type toArcade struct {
	network http.RoundTripper
	app     *App
}

// RoundTrip carries the request out. Nothing goes to arcade.dev while a self-hosted context is active, or may be:
// Arcade need not know of the user's own installation.
func (t toArcade) RoundTrip(request *http.Request) (*http.Response, error) {
	if identity.AtArcade(request.URL.Hostname()) && !t.app.mayAsk {
		if s, err := t.app.session(); err == nil && s.File.KeepsToItself() {
			return nil, errKeptApart
		}
	}
	began := t.app.Track.Now()
	response, err := t.network.RoundTrip(request)
	if t.app.traced {
		outcome := "no answer"
		if err == nil {
			outcome = strconv.Itoa(response.StatusCode)
		}
		t.app.note("debug: " + request.Method + " " + bareAddress(request.URL.String()) + ": " + outcome +
			" in " + strconv.FormatInt(t.app.Track.Now().Sub(began).Milliseconds(), 10) + " ms")
	}
	if errors.As(err, new(x509.UnknownAuthorityError)) {
		t.app.warnOfBundle()
	}
	return response, err
}

// serverAddress is the address of the server that the flags name. The error is wrong usage.
func serverAddress(cmd *cobra.Command, o secrets.Options) (*url.URL, error) {
	switch base, err := secrets.BaseURL(o); {
	case strings.HasPrefix(o.Host, "-"): // -h has taken the next flag for its value
		return nil, wrongUsage(cmd, "no value for --host", "--host needs a value")
	case o.TLS && o.NoTLS:
		return nil, wrongUsage(cmd, "--tls with --no-tls", "--tls and --no-tls exclude each other")
	case err != nil:
		return nil, wrongUsage(cmd, "invalid value for --host or --port", err.Error())
	default:
		return base, nil
	}
}

// cloudAt is the address of the Arcade Cloud that the flags name, the default one without --host.
func cloudAt(cmd *cobra.Command, o secrets.Options) (string, error) {
	if o.Cloud = true; !cmd.Flags().Changed("host") {
		o.Host = identity.DefaultCloudHost
	}
	base, err := serverAddress(cmd, o)
	if err != nil {
		return "", err
	}
	return base.String(), nil
}

// loginCommand is the command that repeats this home's login, else the one for the default Cloud.
func (a *App) loginCommand() string {
	login, _ := a.file().Read()
	return loginAt(login)
}

// loginAt is the command that repeats a login, at the same Cloud and in the same context.
func loginAt(login identity.Credentials) string {
	command := "arcade login"
	switch u, err := url.Parse(login.CloudURL()); {
	case login.CloudURL() == "":
		command += " --with-key"
	case err == nil && u.Host != "" && !login.SelfHosted() && login.CloudURL() != identity.DefaultCloudURL:
		command += " --host " + u.Host
	}
	if name := cmp.Or(login.Name, identity.DefaultContext); name != identity.DefaultContext {
		command += " --context " + shellWord(name)
	}
	return command
}

// shellWord is a text, quoted if a shell would not read it as one word.
func shellWord(text string) string {
	text = secrets.Printable(text)
	if regexp.MustCompile(`^[A-Za-z0-9_.:/-]*$`).MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// validContext reports whether a name is fit for a new context: YAML has to read it as text, a shell as one word.
func validContext(name string) bool {
	return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`).MatchString(name) &&
		!slices.Contains([]string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(name))
}

// shownAddress is an address of the credentials file as it is shown, nil for none.
func shownAddress(address string) *string {
	if address == "" {
		return nil
	}
	return orNull(bareAddress(address))
}

// homeOf is the installation of a login, for a sentence.
func homeOf(login identity.Credentials) string {
	return valueOr(shownAddress(login.CloudURL()), "an installation without an Arcade Cloud")
}

// byEmail is a preposition and the e-mail of a login, "" for a login without one.
func byEmail(preposition string, login identity.Credentials) string {
	if login.Email == "" {
		return ""
	}
	return " " + preposition + " " + secrets.Printable(login.Email)
}

// inItsContext is " in the context NAME" if there are several.
func (a *App) inItsContext() string {
	if name := a.Track.ContextName(); name != "" {
		return " in the context " + secrets.Printable(cmp.Or(a.context, name))
	}
	return ""
}

// unnamedContext describes an active context that has no name and whose events carry the anonymous id alone.
func (a *App) unnamedContext() string {
	if _, err := a.loggedIn(); err != nil && !errors.Is(err, errNotLoggedIn) {
		return "not known, since " + asFailure(err).what
	}
	return "self-hosted"
}

// named is an organization or a project.
type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (n named) String() string {
	if n.Name == "" {
		return secrets.Printable(n.ID)
	}
	return secrets.Printable(n.Name + " (" + n.ID + ")")
}

// workplace is a login's organization and project, for a sentence.
func workplace(c identity.Context) string {
	return secrets.Printable(cmp.Or(c.OrgName, c.OrgID)) + " / " + secrets.Printable(cmp.Or(c.ProjectName, c.ProjectID))
}

// contextOf is an organization with the project to start in: its default one, else the first.
func contextOf(org identity.Choice, projects []identity.Choice) (identity.Context, error) {
	project, ok := identity.Preferred(projects)
	if !ok {
		return identity.Context{}, failed("no project", "the organization "+named{org.ID, org.Name}.String()+" has no project",
			"Make one in Arcade's dashboard, then try again.")
	}
	return identity.Context{OrgID: org.ID, OrgName: org.Name, ProjectID: project.ID, ProjectName: project.Name}, nil
}

// keepPlaces stores Arcade Cloud's organizations and projects of a login. If it fails, Cloud is asked again.
func (a *App) keepPlaces(login identity.Credentials, p identity.Places) {
	p.Login, p.At = login.Fingerprint(), a.Track.Now()
	_ = a.file().KeepPlaces(p)
}

// withQueue opens the queue of this user's home for fn, closes it and words its errors.
func (a *App) withQueue(fn func(q *track.Queue) error) error {
	q, err := a.Track.Queue()
	if err != nil {
		return err
	}
	defer q.Close()
	err = fn(q)
	if err == nil || errors.As(err, new(*failure)) || isOutput(err) || errors.Is(err, context.Canceled) {
		return err
	}
	return adviceFailure(a.words().Of(err), "")
}

// onQueue makes a command's RunE from a function that uses the queue.
func (a *App) onQueue(run func(ctx context.Context, q *track.Queue, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return a.withQueue(func(q *track.Queue) error { return run(cmd.Context(), q, args) })
	}
}

func (a *App) words() advice.Words {
	return advice.Words{Track: a.Track, Out: a.Out, Login: a.loginCommand}
}
