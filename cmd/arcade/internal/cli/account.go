package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/advice"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox/httpsend"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// session is the login of this user's home, which is renewed when a command needs it.
func (a *App) session() (identity.Session, error) {
	home, err := a.Track.Home()
	file := home.Credentials()
	file.Context = cmp.Or(a.context, file.Context)
	return identity.Session{
		File: file, HTTP: a.httpClient(), Now: a.Track.Now, Point: a.Track.Point,
		Waiting: func() { a.printErr("Another arcade is renewing the login: waiting for it.") },
	}, err
}

// loggedIn returns the login as the file has it, and words what is wrong with that for a person.
func (a *App) loggedIn() (identity.Credentials, error) {
	return a.present(func(s identity.Session) (identity.Credentials, error) { return s.File.Read() })
}

// renewedLogin is loggedIn with a token that is good.
func (a *App) renewedLogin(ctx context.Context) (identity.Credentials, error) {
	return a.present(func(s identity.Session) (identity.Credentials, error) { return s.Credentials(ctx) })
}

func (a *App) present(read func(identity.Session) (identity.Credentials, error)) (identity.Credentials, error) {
	s, err := a.session()
	if err != nil {
		return identity.Credentials{}, err
	}
	credentials, err := read(s)
	switch {
	case err != nil:
		return credentials, a.loginFailure(s.File.Path, err)
	case !credentials.Present():
		return credentials, errNotLoggedIn
	}
	if _, err := httpsend.ParseAddress(credentials.CloudURL(), identity.DefaultCloudURL); err != nil && credentials.CloudURL() != "" {
		return credentials, failed("credentials with an unusable address",
			"the credentials file has an address of Arcade Cloud that cannot be right",
			"Run 'arcade logout', then 'arcade login'.")
	}
	return credentials, nil
}

// loginFailure words why there is no login that could be used.
func (a *App) loginFailure(path string, err error) error {
	var cloud *identity.CloudError
	var unbelieved *identity.UnbelievedError
	var unknown *identity.UnknownContextError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errNotLoggedIn
	case errors.As(err, &unbelieved):
		return a.unbelieved(unbelieved)
	case errors.As(err, &unknown):
		return contextFailure(unknown.Names)
	case errors.Is(err, identity.ErrStrongerLogin):
		return errStrongerLogin
	case errors.Is(err, identity.ErrLoginEnded):
		return a.loginEnded()
	case errors.Is(err, identity.ErrLoginChanged):
		return failed("login changed", "somebody has logged in or out meanwhile", "Run the command again.")
	case errors.Is(err, identity.ErrCredentialsNewer):
		return failed("credentials newer", "the credentials file was made by a newer program, or is damaged",
			"Update arcade; or run 'arcade logout --all', which removes the file, then 'arcade login'.")
	case errors.Is(err, identity.ErrCredentialsInvalid):
		return failed("credentials damaged", "the credentials file is damaged",
			"Run 'arcade logout', which removes it, then 'arcade login'.")
	case errors.Is(err, identity.ErrCredentialsBusy):
		return failed("credentials busy", "another process has been renewing the login for too long", "Run the command again.")
	case errors.As(err, &cloud):
		return a.cloudFailure(err)
	case errors.Is(err, context.Canceled):
		return errInterrupted
	default:
		return a.credentialsFailure("credentials unusable", "the credentials file cannot be used: ", path, err)
	}
}

// loginEnded is the failure of a login that Arcade Cloud does not accept.
func (a *App) loginEnded() *failure {
	if a.stronger {
		return errStrongerLogin
	}
	return failed("login ended", "your login has ended", "Run '"+a.loginCommand()+"'.")
}

// loginCommand is the command that logs in where this home is logged in.
func (a *App) loginCommand() string {
	login := identity.Credentials{} // at the default Cloud if there is none
	if s, err := a.session(); err == nil {
		login, _ = s.File.Read()
	}
	return loginAt(login)
}

// loginAt is the command that makes the login anew, where it was made.
func loginAt(login identity.Credentials) string {
	command := "arcade login"
	u, err := url.Parse(login.CloudURL())
	if err == nil && u.Host != "" && !login.SelfHosted() && login.CloudURL() != identity.DefaultCloudURL {
		command += " --host " + asciiHost(u)
	}
	if cmp.Or(login.Name, identity.DefaultContext) != identity.DefaultContext {
		command += " --context " + quoted(login.Name)
	}
	return command
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if validContext(word) {
		return word
	}
	return "'" + strings.ReplaceAll(secrets.Printable(word), "'", `'\''`) + "'"
}

// unbelieved words why the login file is not used.
func (a *App) unbelieved(e *identity.UnbelievedError) error {
	path := a.words().Path(e.Path)
	if !e.Chmod {
		return failed("credentials not private", path+" is not yours alone, so its login is not used", "Set ARCADE_API_KEY instead.")
	}
	return failed("credentials not private", "others can read or change "+path+", so its login is not used", "Run 'chmod 600 "+path+"'.")
}

// cloudFailure words a call to Arcade Cloud that the command depends on.
func (a *App) cloudFailure(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, identity.ErrStrongerLogin):
		return errStrongerLogin
	case errors.Is(err, identity.ErrNotAuthenticated):
		return a.loginEnded()
	default:
		return failed("cloud not asked", cause(err), remedy(err, "Check the network, then run the command again."))
	}
}

// asLogin makes a client whose calls carry a login. A server that does not accept a token which looked
// good, because it was revoked or a clock is wrong, is asked once more with a renewed one.
func (a *App) asLogin(login identity.Credentials) (*http.Client, error) {
	s, err := a.session()
	client := a.httpClient()
	client.Transport = &identity.Transport{Session: s, Login: login, Next: client.Transport}
	return client, err
}

// cloudOf returns the Arcade Cloud that issued the credentials, to be asked with them.
func (a *App) cloudOf(credentials identity.Credentials) (identity.Cloud, error) {
	client, err := a.asLogin(credentials)
	return identity.Cloud{BaseURL: credentials.CloudURL(), HTTP: client}, err
}

// organisations are those of a login. The answer is kept.
func (a *App) organisations(ctx context.Context, cloud identity.Cloud, login identity.Credentials) ([]identity.Choice, error) {
	orgs, err := cloud.Organisations(ctx, login)
	if err == nil {
		a.keepPlaces(login, func(p *identity.Places) { p.Organisations = orgs })
	}
	return orgs, err
}

// projects are those of an organization. The answer is kept.
func (a *App) projects(ctx context.Context, cloud identity.Cloud, login identity.Credentials, org string) ([]identity.Choice, error) {
	projects, err := cloud.Projects(ctx, login, org)
	if err == nil {
		a.keepPlaces(login, func(p *identity.Places) { p.Projects[org] = projects })
	}
	return projects, err
}

// places are what Arcade Cloud has told last of where a login can work.
func (a *App) places(login identity.Credentials) identity.Places {
	s, err := a.session()
	if err != nil {
		return identity.Places{}
	}
	return s.File.Places(login)
}

// keepPlaces notes what Arcade Cloud has told. What cannot be kept is asked for again.
func (a *App) keepPlaces(login identity.Credentials, change func(*identity.Places)) {
	s, err := a.session()
	if err != nil {
		return
	}
	p := s.File.Places(login)
	if p.Projects == nil {
		p.Projects = map[string][]identity.Choice{}
	}
	change(&p)
	p.Login, p.At = login.Fingerprint(), a.Track.Now()
	_ = s.File.KeepPlaces(p)
}

// loginState is what Arcade Cloud says of a login.
type loginState string

const (
	loginWorks   loginState = "works"
	loginRefused loginState = "refused" // it ended, or Cloud does not accept it
	loginUnknown loginState = "unknown" // Cloud cannot be asked
)

// check renews a login if need be and asks Arcade Cloud whose it is. The error is an interrupt, or
// says why the login cannot be renewed here.
func (a *App) check(ctx context.Context, limit time.Duration) (identity.Account, loginState, error) {
	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, err := a.session()
	if err != nil {
		return identity.Account{}, loginUnknown, err
	}
	login, err := s.Credentials(asking)
	if err == nil && login.CloudURL() == "" { // there is nobody to ask
		return identity.Account{}, loginUnknown, nil
	}
	if err == nil {
		var cloud identity.Cloud
		if cloud, err = a.cloudOf(login); err == nil {
			var account identity.Account
			if account, err = cloud.WhoAmI(asking, login); err == nil {
				return account, loginWorks, nil
			}
		}
	}
	switch {
	case ctx.Err() != nil:
		return identity.Account{}, loginUnknown, errInterrupted
	case errors.Is(err, identity.ErrNotAuthenticated), errors.Is(err, identity.ErrLoginEnded):
		a.stronger = errors.Is(err, identity.ErrStrongerLogin)
		return identity.Account{}, loginRefused, nil
	case errors.As(err, new(*identity.CloudError)), errors.Is(err, context.DeadlineExceeded):
		a.warnOfNetwork(err)
		return identity.Account{}, loginUnknown, nil
	default:
		return identity.Account{}, loginUnknown, a.loginFailure(s.File.Path, err)
	}
}

// warnOfNetwork tells what has kept a call from its server that the command can do without.
func (a *App) warnOfNetwork(err error) {
	if line, known := networkLine(err); known {
		a.warn("Warning: " + line.Sentence())
	}
}

// asWhom is empty for a login without an e-mail.
func asWhom(login identity.Credentials) string {
	if login.Email == "" {
		return ""
	}
	return " as " + secrets.Printable(login.Email)
}

// ofWhom is asWhom behind "the login".
func ofWhom(login identity.Credentials) string {
	if login.Email == "" {
		return ""
	}
	return " of " + secrets.Printable(login.Email)
}

// isAt tells whether a login belongs to the Arcade Cloud at base.
func isAt(base string, login identity.Credentials) bool {
	return strings.EqualFold(strings.TrimSuffix(base, ":443"), login.CloudURL())
}

func contextOf(org identity.Choice, projects []identity.Choice) (identity.Context, error) {
	project, ok := identity.Preferred(projects)
	if !ok {
		return identity.Context{}, failed("no project", "the organization "+nameOf(org)+" has no project",
			"Make one in Arcade's dashboard, then try again.")
	}
	return identity.Context{OrgID: org.ID, OrgName: org.Name, ProjectID: project.ID, ProjectName: project.Name}, nil
}

func nameOf(c identity.Choice) string { return secrets.Printable(nameAndID(named{c.ID, c.Name})) }

func nameOr(name, id string) string { return secrets.Printable(cmp.Or(name, id)) }

type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func nameAndID(n named) string {
	if n.Name == "" {
		return n.ID
	}
	return n.Name + " (" + n.ID + ")"
}

// engineOptions are the flags of `arcade secret`.
type engineOptions struct {
	secrets.Options
	org, project string // ids, for one command
}

func tlsTwice(cmd *cobra.Command) *failure {
	return wrongUsage(cmd, "--tls with --no-tls", "--tls and --no-tls exclude each other")
}

// engine makes the client for the Engine that --host names, else for that of the credential in force.
// Wrong flags are found before anything is read.
func (a *App) engine(cmd *cobra.Command, at engineOptions) (*secrets.Client, error) {
	if err := checkHost(cmd, at.Host); err != nil {
		return nil, err
	}
	if at.TLS && at.NoTLS {
		return nil, tlsTwice(cmd)
	}
	if at.org != "" && at.project == "" {
		return nil, wrongUsage(cmd, "--org without --project", "--org needs --project: secrets belong to a project")
	}
	base, err := secrets.BaseURL(at.Options)
	if err != nil {
		return nil, wrongUsage(cmd, "invalid value for --host or --port", err.Error())
	}
	env, named := a.Track.Env, cmd.Flags().Changed("host")
	if env("ARCADE_URL") != "" && env("ARCADE_API_KEY") == "" && env("ARCADE_CONTEXT") == "" && !named {
		return nil, failed("ARCADE_URL without a key",
			"ARCADE_URL is set without ARCADE_API_KEY, and says nothing of where the login's secrets are",
			"Set both or neither, or name a context with ARCADE_CONTEXT.")
	}
	client := &secrets.Client{HTTP: a.httpClient(), Base: base}
	a.mayAsk = named
	used, err := a.authenticate(cmd.Context(), client, at)
	if err != nil {
		return nil, err
	}
	if !named {
		if client.Base, err = engineOf(used, at.Options); err != nil {
			return nil, err
		}
		a.mayAsk = !used.FromFile // by a variable
		if used.FromFile && cmd.Name() != "list" && client.Base.Host != secrets.DefaultHost {
			a.printErr("This login's Engine is " + client.Base.String() + ".")
		}
	}
	if login, err := a.loggedIn(); err == nil && !used.FromFile {
		a.printErr("The key in ARCADE_API_KEY is used, and not the login" + ofWhom(login) + ".")
	}
	if login := used.Login; used.FromFile {
		a.refused = "Run '" + loginAt(login) + "'."
		if !login.Owns(client.Base) {
			a.refused = "Check --host: this login belongs to " + bareAddress(login.CloudURL()) + "."
		}
	}
	client.Waiting = func(d time.Duration) { a.warn(waitingWords(d)) }
	if !secrets.MayCarryKey(client.Base) { // then --no-tls was given: nothing else chooses it
		a.warn("Warning: without TLS, the credentials and the secrets can be read on their way to " + client.Base.Host)
	}
	return client, nil
}

// engineOf is the Engine that a credential goes to when no host is named; the other flags change how
// it is reached.
func engineOf(used identity.Using, at secrets.Options) (*url.URL, error) {
	address, err := used.Engine()
	switch {
	case err == nil:
	case used.FromFile && used.Login.EngineURL != "":
		return nil, failed("no engine known", "the login names an Engine that it cannot be sent to: "+bareAddress(used.Login.EngineURL),
			"Name the Engine with --host.")
	case used.FromFile:
		return nil, failed("no engine known",
			"it is not known which Engine belongs to this login's Arcade Cloud: "+bareAddress(used.Login.CloudURL()),
			"Name it with --host.")
	default:
		return nil, failed("key without a host",
			"ARCADE_API_KEY alone goes to Arcade Cloud, and the active context is self-hosted or cannot be read",
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

// waitingWords tell why nothing happens for a while.
func waitingWords(d time.Duration) string {
	return fmt.Sprintf("The Engine is busy: going on in %s.", term.Span(d))
}

// authenticate gives the client the credential in force, and returns it. A key of the environment is one
// of its own project: the context in the file belongs to the file's login.
func (a *App) authenticate(ctx context.Context, client *secrets.Client, at engineOptions) (identity.Using, error) {
	client.Organisation, client.Project = at.org, at.project
	if _, _, err := a.keyInForce(); err != nil {
		return identity.Using{}, err
	}
	used, err := a.Track.Credential()
	switch {
	case !used.FromFile && errors.Is(err, identity.ErrNoEngine):
		return used, failed("ARCADE_URL not usable",
			"ARCADE_URL is not the address of an Engine: https:// and a host, without a path or a password",
			"Set it to one such as https://engine.example.com.")
	case !used.FromFile && used.Login.Present():
		if at.project != "" && at.org == "" {
			return used, failed("--project without --org", "a key from ARCADE_API_KEY has no organization", "Give --org, too.")
		}
		client.Token = used.Login.APIKey
		return used, nil
	}
	login, err := a.renewedLogin(ctx)
	if errors.Is(err, errNotLoggedIn) {
		return used, failed(errNotLoggedIn.words, errNotLoggedIn.what, "Run 'arcade login', or set ARCADE_API_KEY.")
	}
	if err != nil {
		return used, err
	}
	if used.Login = login; login.APIKey == "" && (at.org == "" || at.project == "") {
		if err := needsContext(login); err != nil {
			return used, err
		}
	}
	client.Token = login.Token()
	if at.project != "" || !a.places(login).Default(login.Context) {
		a.project = cmp.Or(at.project, login.ProjectName, login.ProjectID)
	}
	client.Organisation, client.Project = cmp.Or(at.org, login.OrgID), cmp.Or(at.project, login.ProjectID)
	client.HTTP, err = a.asLogin(login)
	return used, err
}

// inProject is what is said behind the name of a secret that is not known to be in the default project.
func (a *App) inProject() string {
	if a.project == "" {
		return ""
	}
	return " in project '" + secrets.Printable(a.project) + "'"
}

// engineError is an error of package secrets for a person, what may be reported of it, and what to do. What
// to do about a login that the Engine refuses depends on whose the Engine is.
func (a *App) engineError(err error) (words, what, hint string) {
	if line, known := networkLine(err); known {
		return "engine not reached: " + strings.ReplaceAll(line.Reason, "_", " "), line.What, line.Do
	}
	var problem *secrets.Problem
	if errors.As(err, &problem) {
		hint = problem.Do
	}
	var status *secrets.StatusError
	if errors.As(err, &status) && status.Stronger {
		return errStrongerLogin.words, errStrongerLogin.what, ""
	}
	switch {
	case errors.As(err, new(*secrets.AmbiguousKeyError)):
		words = "several secrets with one key"
	case errors.Is(err, secrets.ErrReported):
		words = "engine reported an error"
	case errors.Is(err, secrets.ErrListTooLong), errors.Is(err, secrets.ErrListIncomplete):
		words = "list of secrets without an end"
	case errors.As(err, &status):
		words = fmt.Sprintf("engine answered with HTTP %d", status.Status)
		if status.Status == http.StatusUnauthorized && a.refused != "" {
			hint = a.refused
		}
	case errors.Is(err, secrets.ErrNotEngine):
		words = "no engine answered"
	case errors.Is(err, secrets.ErrBadToken):
		words = "unusable API key"
	case errors.Is(err, context.Canceled):
		return errInterrupted.words, "interrupted before the Engine has answered", ""
	default:
		words = "engine not asked"
	}
	return words, err.Error(), hint
}

// engineFailure is the failure of a call that the whole command depends on.
func (a *App) engineFailure(err error) *failure {
	words, what, hint := a.engineError(err)
	return failed(words, what, hint)
}

// verdicts says what became of each key, and counts it.
type verdicts struct {
	app    *App
	total  int    // of what was asked for
	done   string // the word for what succeeded
	counts verdictCounts
	words  string // of the first failure
	hint   string // what to do about it
	// barred: it was said that the Engine does not accept the login, which is no matter of a key.
	barred bool
}

type verdictCounts struct{ done, skipped, missing, failed, untried int }

// fail says that a key has failed, and why behind the line. Of several keys each has its own advice.
func (v *verdicts) fail(err error, line string) {
	if errors.Is(err, secrets.ErrNotTried) {
		v.counts.untried++
		return
	}
	v.counts.failed++
	words, what, hint := v.app.engineError(err)
	line += what
	v.words = cmp.Or(v.words, words)
	if v.hint = cmp.Or(v.hint, hint); v.total > 1 && hint != "" {
		line += ". " + hint
	}
	var refused *secrets.StatusError
	barred := errors.As(err, &refused) && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden)
	if !barred || !v.barred {
		v.app.printErr(v.app.Err.Paint(term.Red, line))
	}
	v.barred = v.barred || barred
}

// err ends the command: with a summary, unless there is but one key, about which all was said.
func (v *verdicts) err(ctx context.Context) error {
	switch c := v.counts; {
	case ctx.Err() != nil && v.total > 1:
		v.app.printErr(v.app.Err.Paint(term.Red, v.summary()))
		return ctx.Err()
	case c.failed+c.untried == 0:
		if v.total+c.skipped > 1 {
			return v.app.print(v.summary() + ".")
		}
		return nil
	case v.total == 1:
		return failed(v.words, "", v.hint)
	}
	return failed(v.words, v.summary(), "")
}

func (v *verdicts) summary() string {
	parts := []string{term.Count(v.counts.done, "secret", "secrets") + " " + v.done}
	for _, other := range []struct {
		n    int
		word string
	}{{v.counts.skipped, "skipped"}, {v.counts.missing, "not found"}, {v.counts.failed, "failed"}, {v.counts.untried, "not tried"}} {
		if other.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", other.n, other.word))
		}
	}
	return strings.Join(parts, ", ")
}

// progressFrom is how many keys take long enough for a progress bar.
const progressFrom = 10

// settle says of each result, in the order given, what became of it; say says it.
func (v *verdicts) settle(client *secrets.Client, results iter.Seq[secrets.Result], say func(i int, result secrets.Result)) {
	a := v.app
	progress := a.Err.Progress(v.total, v.total >= progressFrom && !a.traced)
	var screen sync.Mutex // lines come from here, and from those who wait
	settled := 0
	client.Waiting = func(d time.Duration) {
		screen.Lock()
		defer screen.Unlock()
		progress.Wipe()
		a.warn(waitingWords(d))
		progress.Show(settled)
	}
	progress.Show(0)
	for result := range results {
		screen.Lock()
		progress.Wipe()
		say(settled, result)
		settled++
		progress.Show(settled)
		screen.Unlock()
	}
	progress.Wipe()
}

// keyInForce is the key in ARCADE_API_KEY, if commands use it, and whether nobody may be asked whose it is.
func (a *App) keyInForce() (key identity.Credentials, apart bool, err error) {
	if _, err := a.Track.APIKey(); err != nil && (a.Track.Env("ARCADE_CONTEXT") == "" || a.Track.Env("ARCADE_URL") != "") {
		return key, false, failed("unusable ARCADE_API_KEY",
			"the key in ARCADE_API_KEY cannot be used: "+err.Error(), "Correct the variable, or unset it.")
	}
	key, apart = a.Track.KeyInForce()
	return key, apart, nil
}

// needsContext refuses a login that works in no project.
func needsContext(login identity.Credentials) error {
	switch {
	case login.APIKey != "":
		return failed("login with an API key", "this login is an API key, which belongs to one project and knows no other",
			"Run 'arcade logout', then 'arcade login', to log in as a person.")
	case login.OrgID == "" || login.ProjectID == "":
		return failed("no active project", "this login has no organization and project to work in", "Run '"+loginAt(login)+"'.")
	}
	return nil
}

// httpClient makes the client of commands that talk to Arcade.
func (a *App) httpClient() *http.Client {
	network := http.RoundTripper(wall{a.Track.ToArcade(), a})
	if a.traced {
		network = tracer{network, a}
	}
	return &http.Client{Transport: network}
}

// wall keeps requests from arcade.dev while a self-hosted context is active, or may be.
type wall struct {
	network http.RoundTripper
	app     *App
}

// RoundTrip carries the request out, unless it would tell Arcade of an installation that keeps to itself.
func (w wall) RoundTrip(request *http.Request) (*http.Response, error) {
	if identity.AtArcade(request.URL.Hostname()) && !w.app.mayAsk {
		if s, err := w.app.session(); err == nil && s.File.KeepsToItself() {
			return nil, errors.New("nothing is sent to arcade.dev while a self-hosted context is active")
		}
	}
	return w.network.RoundTrip(request)
}

// contextFailure is that of a name that no context has.
func contextFailure(names []string) error {
	return failed("unknown context", "there is no context of this name", "There are: "+secrets.Printable(strings.Join(names, ", "))+".")
}

// validContext says whether a word can be the name of a new context: one that every reader of the file takes
// for a text, and every shell for a word.
func validContext(name string) bool {
	return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`).MatchString(name) &&
		!slices.Contains([]string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(name))
}

// selfHosted says whether events keep to the anonymous id.
func (a *App) selfHosted() bool {
	used, err := a.Track.Credential()
	return err == nil && used.Apart
}

// inItsContext is what is said behind a login where there are several contexts.
func (a *App) inItsContext() string {
	if name := a.Track.ContextName(); name != "" {
		return " in the context " + secrets.Printable(cmp.Or(a.context, name))
	}
	return ""
}

// cloudAddress is that of the login's Arcade Cloud, nil for an installation without one.
func cloudAddress(login identity.Credentials) *string {
	if login.CloudURL() == "" {
		return nil
	}
	return orNull(bareAddress(login.CloudURL()))
}

func valueOr(value *string, otherwise string) string {
	if value == nil {
		return otherwise
	}
	return *value
}

// credentialsFailure words why the credentials file cannot be used, by the system's error.
func (a *App) credentialsFailure(words, before, path string, err error) *failure {
	trouble := track.FileTrouble(path, err)
	if trouble == nil {
		return failed(words, before+cause(err), "Move "+a.words().Path(path)+" away, then run 'arcade login'.")
	}
	f := adviceFailure(a.words().Of(trouble), before)
	f.words = words
	return f
}

// withQueue runs fn with the queue of this user's home, closes it and words its errors.
func (a *App) withQueue(fn func(q *track.Queue) error) error {
	q, err := a.Track.Queue()
	if err != nil {
		return err
	}
	defer q.Close()
	err = fn(q)
	var worded *failure
	if err == nil || errors.As(err, &worded) || isOutput(err) || errors.Is(err, context.Canceled) {
		return err
	}
	return adviceFailure(a.words().Of(err), "")
}

// words are those about the queue.
func (a *App) words() advice.Words {
	return advice.Words{Track: a.Track, Out: a.Out, Login: a.loginCommand}
}
