package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/identity"
)

// loginOptions are the flags of `arcade login`.
type loginOptions struct {
	host         string
	port         int
	callbackHost string
	timeout      time.Duration
	noBrowser    bool
	withKey      bool
}

func (a *app) newLogin() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in to Arcade in the browser",
		Long: `Open Arcade's login page in the browser and wait until you have logged in there.
The address is printed as well, for a browser that cannot be opened from here.
With --with-key an API key is read from standard input instead.`,
		Example: "  arcade login\n  arcade login --no-browser\n  arcade login --with-key < key.txt",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.timeout <= 0 {
				return wrongUsage(cmd, "invalid value for --timeout", "--timeout must be more than nothing, such as 10m")
			}
			if o.port < 0 || o.port > 65535 {
				return wrongUsage(cmd, "invalid value for --port", "--port is a number from 1 to 65535")
			}
			return a.login(cmd.Context(), cmd, o)
		},
	}
	cmd.Flags().StringVar(&o.host, "host", "cloud.arcade.dev", "Arcade Cloud's host")
	cmd.Flags().IntVarP(&o.port, "port", "p", 0, "Arcade Cloud's port, if the host is this machine (default 8000)")
	cmd.Flags().StringVar(&o.callbackHost, "callback-host", "", "where the browser finds this machine (default localhost)")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 10*time.Minute, "give up after this long")
	cmd.Flags().BoolVar(&o.noBrowser, "no-browser", false, "only print the address")
	cmd.Flags().BoolVar(&o.withKey, "with-key", false, "read an API key from standard input")
	cmd.Flags().BoolVar(&a.debugRequests, "debug", false, "print requests: method, address, status and time")
	return cmd
}

func (a *app) login(ctx context.Context, cmd *cobra.Command, o loginOptions) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	present, err := a.loggedIn(home)
	if err == nil {
		fmt.Fprintf(a.out, "You are logged in%s already. 'arcade logout' logs you out.\n", asWhom(present.Email))
		return nil
	}
	if !errors.Is(err, errNotLoggedIn) {
		return err
	}
	base, err := identity.CloudBase(o.host, o.port)
	if err != nil {
		return wrongUsage(cmd, "invalid value for --host", err.Error())
	}
	callback, err := identity.CallbackURI(cmp.Or(o.callbackHost, fmt.Sprintf("localhost:%d", a.callback)))
	if err != nil {
		return wrongUsage(cmd, "invalid value for --callback-host", err.Error())
	}
	if o.withKey {
		return a.loginWithKey(ctx, home, base)
	}
	grant, err := a.askBrowser(ctx, base, callback, o)
	if err != nil {
		return err
	}
	return a.loggedInAs(ctx, home, base, grant)
}

// asWhom is empty for a key without an e-mail.
func asWhom(email string) string {
	if email == "" {
		return ""
	}
	return " as " + email
}

// keyLimit is far beyond any API key, in bytes.
const keyLimit = 4096

// loginWithKey takes a key that somebody else has made. A key that Cloud refuses is not kept;
// one that Cloud cannot be asked about is.
func (a *app) loginWithKey(ctx context.Context, home, base string) error {
	key, err := a.readKey(ctx)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, cloudTimeout)
	defer cancel()
	credentials := identity.Credentials{APIKey: key, CoordinatorURL: base}
	account, err := a.newCloud(credentials).WhoAmI(asking, credentials)
	if errors.Is(err, identity.ErrNotAuthenticated) {
		return failed("key refused", "Arcade Cloud does not accept this API key", "Check the key and --host.")
	}
	if err != nil {
		fmt.Fprintln(a.err, "Warning: Arcade Cloud could not be asked about the key; it is kept unchecked.")
	}
	return a.keep(home, base, identity.Grant{APIKey: key, Email: account.Email}, account.PrincipalID)
}

// readKey reads the key from standard input, hidden on a terminal.
func (a *app) readKey(ctx context.Context) (string, error) {
	content, err := a.readHidden(ctx, "API key (not shown): ")
	key := strings.TrimSpace(content)
	switch {
	case ctx.Err() != nil:
		return "", errInterrupted
	case err != nil:
		return "", failed("standard input unreadable", "the key cannot be read from standard input", "Pipe it in: arcade login --with-key < key.txt")
	case key == "":
		return "", failed("no key", "there is no key on standard input", "Pipe it in: arcade login --with-key < key.txt")
	case len(key) >= keyLimit, strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", failed("not a key", "what is on standard input is not an API key", "It must hold the key and nothing else.")
	}
	return key, nil
}

func (a *app) readHidden(ctx context.Context, prompt string) (string, error) {
	if keyboard := a.keyboard(); keyboard != nil {
		return a.askHidden(ctx, keyboard, prompt)
	}
	content, err := await(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(a.in, keyLimit)) })
	return string(content), err
}

// askBrowser sends the user to the login page and waits for what the page sends back.
func (a *app) askBrowser(ctx context.Context, base, callback string, o loginOptions) (identity.Grant, error) {
	state := rand.Text()
	server, err := identity.ListenCallback(callback, state, a.callback)
	if err != nil {
		return identity.Grant{}, callbackFailure(err)
	}
	defer server.Close()
	page := identity.LoginURL(base, callback, state)
	fmt.Fprintf(a.out, "Log in at this address:\n\n  %s\n\n", page)
	if !o.noBrowser {
		if err := a.browse(page); err != nil {
			fmt.Fprintln(a.err, "The browser could not be opened. Open the address yourself.")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	grant, err := server.Wait(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return grant, failed("login timed out", fmt.Sprintf("nobody logged in within %s", o.timeout), "Run 'arcade login' again.")
	case errors.Is(err, context.Canceled):
		return grant, errInterrupted
	case err != nil:
		return grant, failed("login refused", "the login was not completed in the browser", "Run 'arcade login' again.")
	}
	return grant, nil
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

// loggedInAs asks whose the credentials are: here, and only here, the user is on the network
// anyway. A slow answer does not make the login fail; a flusher asks again.
func (a *app) loggedInAs(ctx context.Context, home, base string, grant identity.Grant) error {
	credentials := identity.Credentials{APIKey: grant.APIKey, CoordinatorURL: base}
	return a.keep(home, base, grant, a.askPrincipal(ctx, credentials))
}

// keep writes the credentials and says so.
func (a *app) keep(home, base string, grant identity.Grant, principal string) error {
	if err := identity.WriteAPIKeyLogin(credentialsPath(home), grant.APIKey, grant.Email, base); err != nil {
		return failed("credentials not written", "the credentials cannot be kept: "+cause(err),
			"Check that the directory is writable, then run 'arcade login' again.")
	}
	if grant.Warning != "" {
		fmt.Fprintf(a.err, "Warning: %s\n", grant.Warning)
	}
	fmt.Fprintf(a.out, "You are logged in%s.\n", asWhom(grant.Email))
	credentials := identity.Credentials{APIKey: grant.APIKey, CoordinatorURL: base}
	a.change = identity.Login{Credential: credentials.Fingerprint(), Principal: principal}
	return nil
}

// askPrincipal returns "" when tracking is off, which needs no principal, or when Cloud is slow.
func (a *app) askPrincipal(ctx context.Context, credentials identity.Credentials) string {
	if !a.switches().on {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, cloudTimeout)
	defer cancel()
	principal, err := a.newCloud(credentials).Principal(ctx, credentials)
	if err != nil {
		return ""
	}
	return principal
}

// openBrowser starts the system's browser and does not wait for it.
func openBrowser(address string) error {
	var cmd *exec.Cmd
	switch runtime.GOOS {
	case "darwin":
		cmd = exec.Command("open", address)
	case "windows":
		cmd = exec.Command("rundll32", "url.dll,FileProtocolHandler", address)
	default:
		cmd = exec.Command("xdg-open", address)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
