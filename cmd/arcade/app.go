package main

import (
	"cmp"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// Set by the release build with -ldflags "-X main.version=... -X main.usageKey=...".
var (
	version  = ""
	usageKey = "" // PostHog's project key; without one events are kept and not sent
)

// defaultUsageHost is PostHog's capture endpoint in the US.
const defaultUsageHost = "https://us.i.posthog.com"

// app is everything a command may use of the world around it.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(name string) string
	now      func() time.Time
	newAnon  func() string            // a random UUID
	newUUID  func() string            // a message's UUID, ordered by time, which keeps the index small
	jitter   func() float64           // in [0, 1)
	network  func() http.RoundTripper // made on first use: most commands need no network
	browse   func(url string) error   // opens a browser
	spawn    func(environment []string) error
	callback int                  // the port that the browser brings the key to
	exit     func(code int)       // for the flusher's watchdog only
	point    func(name string)    // test signal, see outbox.Config
	extend   func(*cobra.Command) // tests add commands that panic or wait; nil otherwise

	debugRequests bool // --debug: tell requests on stderr

	// What track needs to know of the command that ran.
	started time.Time
	unheard bool           // it showed help, so it is not recorded
	change  identity.Input // what it did to the identity; nil: nothing
}

func newApp() *app {
	return &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		env:      os.Getenv,
		now:      time.Now,
		newAnon:  uuid.NewString,
		newUUID:  func() string { return uuid.Must(uuid.NewV7()).String() },
		jitter:   rand.Float64,
		network:  newTransport,
		browse:   openBrowser,
		spawn:    startFlusher,
		callback: identity.CallbackPort,
		exit:     os.Exit,
		point:    func(string) {},
	}
}

// newTransport makes the transport of all connections. Proxies and SSL_CERT_FILE come from
// the environment, as net/http and crypto/x509 read it.
func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = 64 << 10
	return t
}

// run runs one command line and returns its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	a.started = a.now()
	root := a.newRoot()
	root.SetArgs(args)
	cmd, err := a.execute(ctx, root)
	code := a.report(err)
	a.track(cmd, err)
	return code
}

// execute runs the command and turns a panic into an error, so that it is recorded like every
// other ending. Wrapping the execution sees what cobra's hooks do not: unknown flags and
// commands, missing arguments.
func (a *app) execute(ctx context.Context, root *cobra.Command) (cmd *cobra.Command, err error) {
	cmd = root
	defer func() {
		if value := recover(); value != nil {
			err = panicked(debug.Stack())
		}
	}()
	a.notePath(root, &cmd)
	executed, err := root.ExecuteContextC(ctx)
	if ctx.Err() != nil && err != nil {
		err = errInterrupted
	}
	return executed, err
}

// notePath keeps the command that is about to run: after a panic cobra cannot return it.
func (a *app) notePath(root *cobra.Command, running **cobra.Command) {
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) { *running = cmd }
}

// newRoot builds the command tree.
func (a *app) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "arcade",
		Short: "Arcade's command line",
		Long: `Log in to Arcade, manage the secrets of your tools, and see what this program
records about its own use: every command leaves one usage event, which is kept
on this machine until it is delivered. 'arcade usage status' tells where it is.`,
		Example:       "  arcade login\n  arcade whoami\n  arcade usage inspect",
		Version:       a.version(),
		Args:          cobra.ArbitraryArgs,
		RunE:          group,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	// No Set...Template anywhere: cobra would link text/template, whose calls by name make the
	// linker keep every exported method of the program, 2.6 MB of them.
	root.SetFlagErrorFunc(flagError)
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		a.unheard = true
		help(cmd, args)
	})
	root.AddCommand(a.newLogin(), a.newLogout(), a.newWhoami(), a.newSecret(), a.newUsage())
	if a.extend != nil {
		a.extend(root)
	}
	return root
}

// group is the RunE of a command that only holds others: without one cobra shows the help and
// exits with 0 on an unknown word.
func group(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	return cmd.Help()
}

// noArgs is cobra.NoArgs with an error that does not repeat the argument.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return wrongUsage(cmd, "too many arguments", "this command takes no arguments")
	}
	return nil
}

// version is the release's, or what the Go toolchain noted for `go install`.
func (a *app) version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "dev"
}

// home is the directory that both of Arcade's CLIs keep their files in: `.arcade` in
// $ARCADE_WORK_DIR, or in the home directory.
func (a *app) home() (string, error) {
	user := a.userHome()
	base := cmp.Or(a.env("ARCADE_WORK_DIR"), user)
	if base == "~" || len(base) > 1 && base[0] == '~' && os.IsPathSeparator(base[1]) {
		if user == "" {
			return "", errNoHome
		}
		base = filepath.Join(user, base[1:])
	}
	if base == "" {
		return "", errNoHome
	}
	abs, err := filepath.Abs(base)
	return filepath.Join(abs, ".arcade"), err
}

func (a *app) outbox(home string) *outbox.Outbox {
	return outbox.New(outbox.Config{Path: filepath.Join(home, "usage.db"), Now: a.now, Point: a.point})
}

func credentialsPath(home string) string { return filepath.Join(home, "credentials.yaml") }

func mirrorPath(home string) string { return filepath.Join(home, "usage.json") }
