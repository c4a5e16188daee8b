package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/browser"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/secrets"
)

// App is the commands' access to the world around them. One App runs one command line.
type App struct {
	*term.Screen
	// Track records the command; its clock, environment and network are the commands', too.
	Track *track.Tracker
	// Browse opens an address in a browser.
	Browse func(address string) error
	// Callback is the port to which the browser brings the login's code.
	Callback int
	// Patience is how long a login waits for the browser that it has opened before it prints the other ways.
	Patience time.Duration
	// Extend, for tests, adds commands that panic or wait.
	Extend func(root *cobra.Command)

	context    string         // of the login to use, "" for the active one
	mayAsk     bool           // the user has named the server: it is asked even if a self-hosted context is active
	traced     bool           // --debug: requests are printed on stderr
	showedHelp bool           // so it is not recorded
	untrusted  error          // Arcade Cloud's certificate was refused
	warned     string         // the last warning about the network
	keyOnly    bool           // a command about the login found only a key
	change     identity.Input // what the command did to the identity, nil for nothing
}

// New makes the program of this process. Version and key are the release's, "" for none.
func New(version, key string) *App {
	trustBundle()
	a := &App{
		Screen:   term.New(os.Stdin, os.Stdout, os.Stderr, os.Getenv),
		Track:    track.New(release(version), key),
		Browse:   func(address string) error { return browser.Open(address, os.Getenv) },
		Callback: identity.CallbackPort,
		Patience: 20 * time.Second,
	}
	a.Track.Debug = a.Err
	return a
}

// trustBundle lets the variables of the Python CLI's library name the certificate authorities, too. Go reads only
// SSL_CERT_FILE and SSL_CERT_DIR, which the flusher gets as well.
func trustBundle() {
	bundle, name := cmp.Or(os.Getenv("REQUESTS_CA_BUNDLE"), os.Getenv("CURL_CA_BUNDLE")), "SSL_CERT_FILE"
	if bundle == "" || os.Getenv(name) != "" {
		return
	}
	info, err := os.Stat(bundle)
	if err == nil && info.IsDir() {
		name = "SSL_CERT_DIR"
	}
	if err == nil && os.Getenv(name) == "" {
		_ = os.Setenv(name, bundle) // it fails only for malformed names
	}
}

// warnOfBundle warns of a variable that names a missing file of certificate authorities, which Go ignores.
func (a *App) warnOfBundle() {
	for _, name := range []string{"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} {
		bundle := a.Track.Env(name)
		if bundle == "" {
			continue
		}
		if _, err := os.Stat(bundle); err != nil {
			a.warn("Warning: the file that " + name + " names cannot be used: " + err.Error())
		}
		return
	}
}

// release is the version, or what the Go toolchain noted for `go install`.
func release(version string) string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		return strings.TrimPrefix(info.Main.Version, "v")
	}
	return "dev"
}

// print writes a line of the result to stdout, note a remark to stderr. On a terminal both break it at blanks.
func (a *App) print(line string) error {
	_, err := fmt.Fprintln(a.Out, a.Out.Wrap(line, 0))
	return err
}

// listing is what a command lists: for people a table below a title, for programs the items or the rows.
type listing struct {
	title   string
	columns []term.Column
	rows    [][]string
	items   any    // for --json
	none    string // instead of a table without rows
	below   string // the last line
}

// dropColumn removes a column that has nothing to show.
func (l *listing) dropColumn(i int) {
	l.columns = slices.Delete(l.columns, i, i+1)
	for at, row := range l.rows {
		l.rows[at] = slices.Delete(row, i, i+1)
	}
}

func (a *App) printList(asJSON bool, l listing) error {
	switch {
	case asJSON:
		return a.Out.JSON(l.items)
	case !a.Out.Interactive:
		return a.Out.TSV(l.columns, l.rows)
	case len(l.rows) == 0:
		return a.print(l.none)
	}
	a.Out.Table(l.title, l.columns, l.rows) // a failed write fails the command at its end
	return a.print(l.below)
}

// tick marks a row; a program gets a word.
func (a *App) tick(yes bool) string {
	switch {
	case !yes:
		return ""
	case !a.Out.Interactive:
		return "yes"
	case a.Out.Unicode:
		return "✓"
	}
	return "x"
}

func (a *App) note(line string) { fmt.Fprintln(a.Err, a.Err.Wrap(line, 0)) }

// labelledLines is a list of labels and values, which begin at column indent. Lines without a value are left out.
func (a *App) labelledLines(lines [][2]string, indent int) string {
	var text []string
	for _, line := range lines {
		if line[1] != "" {
			value := a.Out.Wrap(secrets.Printable(line[1]), indent)
			value = strings.ReplaceAll(value, "\n", "\n"+strings.Repeat(" ", indent))
			text = append(text, fmt.Sprintf("%-*s%s", indent, line[0]+":", value))
		}
	}
	return strings.Join(text, "\n")
}

// printError and warn are notes in the colours of an error and a warning.
func (a *App) printError(line string) { a.note(a.Err.Paint(term.Red, line)) }

func (a *App) warn(line string) { a.note(a.Err.Paint(term.Yellow, line)) }

// sentTo is the address of PostHog, or a note that it is invalid.
func (a *App) sentTo() string { return cmp.Or(a.Track.Host(), noAddress) }

const noAddress = "not a valid address"

// bareAddress is an address without its query, which may hold a secret. One with a user name is not shown: it leads
// elsewhere than it looks.
func bareAddress(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return noAddress
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// seconds is a flag's duration: a number of seconds, as the Python CLI takes it, or one like 5m.
type seconds time.Duration

const (
	longestWait = 24 * time.Hour
	timeoutHelp = "give up after this long: seconds, or a duration such as 5m"
)

// String is the duration as a user would give it: 10m, and not 10m0s.
func (s *seconds) String() string {
	return strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(time.Duration(*s).String())
}

func (s *seconds) Type() string { return "duration" }

// Set takes "60" and "1m".
func (s *seconds) Set(text string) error {
	if _, err := strconv.Atoi(text); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err == nil && (d <= 0 || d > longestWait) {
		err = errors.New("not a wait")
	}
	*s = seconds(d)
	return err
}

func either(first bool, yes, no string) string {
	if first {
		return yes
	}
	return no
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// valueOr is the text of orNull.
func valueOr(value *string, otherwise string) string {
	if value == nil {
		return otherwise
	}
	return *value
}

// allowTracing adds the flag that prints requests.
func (a *App) allowTracing(cmd *cobra.Command) {
	cmd.PersistentFlags().BoolVarP(&a.traced, "debug", "d", false, "print requests: method, address, status and time")
}
