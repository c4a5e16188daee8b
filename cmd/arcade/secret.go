package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

// newSecret makes the group of commands that manage tool secrets. Its -h is the host, as users
// of the Python CLI know it, so --help has no short form here.
func (a *app) newSecret() *cobra.Command {
	var at secrets.Options
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Manage the secrets of your tools",
		Long: `Manage the secrets that your tools read when they run in Arcade Cloud. A value
goes to Arcade's Engine and nowhere else: it is never shown, kept or reported.

The credentials are the API key in ARCADE_API_KEY, or those of 'arcade login'.
HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE are honoured.`,
		Example: "  arcade secret set MY_KEY\n  arcade secret list\n  arcade secret unset MY_KEY",
		Args:    cobra.ArbitraryArgs,
		RunE:    group,
	}
	flags := cmd.PersistentFlags()
	flags.StringVarP(&at.Host, "host", "h", secrets.DefaultHost, "the Engine's host")
	flags.StringVarP(&at.Port, "port", "p", "", "the Engine's port (default 9099 for localhost)")
	flags.BoolVar(&at.TLS, "tls", false, "use TLS (default for all hosts but localhost)")
	flags.BoolVar(&at.NoTLS, "no-tls", false, "do not use TLS, even if others can read the API key then")
	flags.BoolVar(&a.debugRequests, "debug", false, "print requests: method, address, status and time")
	flags.Bool("help", false, "show this help; so does -h with nothing behind it")
	cmd.SetFlagErrorFunc(secretFlagError)
	cmd.SuggestionsMinimumDistance = 1 // set, list and unset are close to everything
	cmd.AddCommand(a.newSecretSet(&at), a.newSecretList(&at), a.newSecretUnset(&at))
	return cmd
}

// secretFlagError is flagError for a group in which -h may stand alone, and in which an unknown
// flag is not repeated: it may be a value that lost its key to a blank.
func secretFlagError(cmd *cobra.Command, err error) error {
	var missing *pflag.ValueRequiredError
	if errors.As(err, &missing) && missing.GetSpecifiedShortnames() == "h" {
		return pflag.ErrHelp
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		return wrongUsage(cmd, "unknown flag", "there is no such flag; a value that starts with - is written KEY=-value")
	}
	return flagError(cmd, err)
}

// engine makes the client for the Engine that the flags name. Wrong flags are found before
// anything is read.
func (a *app) engine(cmd *cobra.Command, at secrets.Options) (*secrets.Client, error) {
	if strings.HasPrefix(at.Host, "-") { // -h took the next flag for its value
		return nil, wrongUsage(cmd, "no value for --host", "--host needs a value")
	}
	base, err := secrets.BaseURL(at)
	if err != nil {
		return nil, wrongUsage(cmd, "invalid value for --host or --port", err.Error())
	}
	client := &secrets.Client{HTTP: a.httpClient(), Base: base}
	if err := a.authenticate(client); err != nil {
		return nil, err
	}
	if !secrets.MayCarryKey(base) { // then --no-tls was given: BaseURL does not choose it
		a.warn("Warning: without TLS, the credentials and the secrets can be read on their way to " + base.Host)
	}
	return client, nil
}

// authenticate gives the client the credentials at hand. The key in the environment is asked
// about its own project: the context in the file belongs to the file's credentials.
func (a *app) authenticate(client *secrets.Client) error {
	if client.Token = a.env("ARCADE_API_KEY"); client.Token != "" {
		return nil
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	credentials, err := a.loggedIn(home)
	if errors.Is(err, errNotLoggedIn) {
		return failed(errNotLoggedIn.words, errNotLoggedIn.what, "Run 'arcade login', or set ARCADE_API_KEY.")
	}
	if err != nil {
		return err
	}
	if credentials.Expired(a.now()) {
		return failed("login expired", "your login has expired", "Run 'arcade logout', then 'arcade login'; or set ARCADE_API_KEY.")
	}
	client.Token = cmp.Or(credentials.APIKey, credentials.AccessToken)
	client.Organisation, client.Project = credentials.OrgID, credentials.ProjectID
	return nil
}

// engineFailure is the failure of a call that the whole command depends on.
func engineFailure(err error) *failure {
	what, hint := inTwo(err)
	return failed(engineWords(err), what, hint)
}

// engineWords says what may be reported of an error of a call.
func engineWords(err error) string {
	var status *secrets.StatusError
	var connection *secrets.ConnectionError
	switch {
	case errors.As(err, &status):
		return fmt.Sprintf("engine answered with HTTP %d", status.Status)
	case errors.As(err, &connection):
		return "engine not reached: " + withoutAdvice(connection.Reason)
	case errors.Is(err, secrets.ErrNotEngine):
		return "no engine answered"
	case errors.Is(err, secrets.ErrBadToken):
		return "unusable API key"
	case errors.Is(err, context.Canceled):
		return errInterrupted.words
	}
	return "engine not asked"
}

// withoutAdvice shortens one of the fixed sentences of package secrets to what happened.
func withoutAdvice[T ~string](sentence T) string {
	what, _, _ := strings.Cut(string(sentence), ";")
	return what
}

// verdicts says what became of each key, and remembers what failed.
type verdicts struct {
	app    *app
	failed int
	words  string   // of the first failure
	hints  []string // what to do, each once
}

func (v *verdicts) fail(err error, line string) {
	v.app.complain(line)
	v.words = cmp.Or(v.words, engineWords(err))
	if _, hint := inTwo(err); hint != "" && !slices.Contains(v.hints, hint) {
		v.hints = append(v.hints, hint)
	}
	v.failed++
}

// err is the command's error, nil when nothing failed. Why was said for each key.
func (v *verdicts) err(total int, done string) error {
	hint := strings.Join(v.hints, " ")
	switch {
	case v.failed == 0:
		return nil
	case total == 1:
		return failed(v.words, "", hint)
	}
	return failed(v.words, fmt.Sprintf("%d of %d secrets were not %s", v.failed, total, done), hint)
}

// complain prints a line about a failure, red where there are colours.
func (a *app) complain(line string) { a.tell(red, line) }

// warn prints a line about what a person should know.
func (a *app) warn(line string) { a.tell(yellow, line) }

func (a *app) tell(colour int, line string) {
	t := a.terminal(a.err)
	fmt.Fprintln(a.err, t.paint(colour, t.wrap(line)))
}
