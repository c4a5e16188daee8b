// Package testbed is the computer that the tests of whole processes run on: a home, a PostHog, an
// Arcade Cloud and an Engine, and the program itself, which is the test binary under another name.
package testbed

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/cli"
	"github.com/ArcadeAI/arcade-cli/identity"
	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/detach"
)

// Main makes a test binary two things: the tests, and, under the name arcade, the program that
// they run as a process. It is all that a TestMain does.
func Main(m *testing.M) {
	// A binary with the race detector sleeps a second at exit otherwise.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){"arcade": arcadeUnderTest})
}

// arcadeUnderTest is main with the seams that tests need. A flusher's come with its environment.
func arcadeUnderTest() {
	outbox.Main(func() (outbox.Config, error) {
		return underTest("flusher").Track.Config()
	})
	os.Exit(underTest("command").Run(cli.WithSignals(context.Background()), os.Args[1:]))
}

func underTest(role string) *cli.App {
	a := cli.New("", "")
	a.Track.Point = startPoints(role).reach
	if port, err := strconv.Atoi(os.Getenv(TestCallback)); err == nil {
		a.Callback = port
	}
	if d, err := time.ParseDuration(os.Getenv(TestClock)); err == nil {
		a.Track.Now = func() time.Time { return time.Now().Add(d) }
	}
	if d, err := time.ParseDuration(os.Getenv(TestPatience)); err == nil {
		a.Patience = d
	}
	if os.Getenv("BROWSER") == standIn {
		a.Browse = browseAsAPersonWould
	}
	network := a.Track.Network
	a.Track.Network = func() http.RoundTripper { return production{network()} }
	a.Extend = addTestCommands
	if os.Getenv(TestAsIs) == "" {
		a.Track.Start = startUnderTest
	}
	return a
}

// production brings what is meant for arcade.dev to its stand-ins.
type production struct{ network http.RoundTripper }

// RoundTrip carries the request out.
func (p production) RoundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Hostname()
	proxied := os.Getenv("HTTPS_PROXY")+os.Getenv("https_proxy") != "" // which is this machine's, too
	if !identity.AtArcade(host) || proxied && os.Getenv(TestProduction) == "" {
		return p.network.RoundTrip(r)
	}
	for _, standIn := range strings.Fields(os.Getenv(TestProduction)) {
		name, address, _ := strings.Cut(standIn, "=")
		if there, err := url.Parse(address); err == nil && name == host {
			r = r.Clone(r.Context())
			r.URL.Scheme, r.URL.Host, r.Host = there.Scheme, there.Host, host
			return p.network.RoundTrip(r)
		}
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// startUnderTest starts a flusher that is under test, too.
func startUnderTest(marker string, environment []string) error {
	lease, err := newLease(os.Getenv(TestMachine))
	if err != nil {
		return err
	}
	for _, entry := range os.Environ() {
		if strings.HasPrefix(entry, "ARCADE_TEST_") {
			environment = append(environment, entry)
		}
	}
	return detach.Start(marker, append(environment, testLease+"="+lease))
}

// browseAsAPersonWould opens the login page, where the fake Arcade Cloud logs in at once and
// redirects to the callback.
func browseAsAPersonWould(address string) error {
	client := http.Client{Transport: production{http.DefaultTransport}}
	go func() {
		if response, err := client.Get(address); err == nil {
			response.Body.Close()
		}
	}()
	return nil
}

// addTestCommands adds commands that end in ways that are hard to come by otherwise.
func addTestCommands(root *cobra.Command) {
	add := func(name string, run func(cmd *cobra.Command, args []string) error) {
		cmd := &cobra.Command{Use: name, RunE: run, Args: cobra.ArbitraryArgs}
		cmd.Flags().String("value", "", "")
		cmd.Flags().Int("number", 0, "")
		root.AddCommand(cmd)
	}
	add("succeed", func(*cobra.Command, []string) error { return nil })
	add("fail", func(_ *cobra.Command, args []string) error {
		return errors.New("server said: " + strings.Join(args, " "))
	})
	add("panic", func(_ *cobra.Command, args []string) error { panic(strings.Join(args, " ")) })
	add("fill", func(cmd *cobra.Command, _ []string) (err error) {
		for err == nil {
			_, err = io.WriteString(cmd.OutOrStdout(), "full\n")
		}
		return err
	})
	add("wait", func(cmd *cobra.Command, _ []string) error {
		io.WriteString(cmd.OutOrStdout(), "waiting\n")
		<-cmd.Context().Done()
		return cmd.Context().Err()
	})
}
