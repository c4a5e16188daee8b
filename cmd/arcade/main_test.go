package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

// TestMain makes this binary two things: the tests, and, under the name arcade, the program
// that they run as a process.
func TestMain(m *testing.M) {
	// A binary with the race detector sleeps a second at exit otherwise.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){"arcade": arcadeUnderTest})
}

// Variables that only the program under test knows, beside those of startPoints.
const (
	testCallback = "ARCADE_TEST_CALLBACK" // the login's callback port
	testMachine  = "ARCADE_TEST_MACHINE"  // the home, so that its processes can be found
	testClock    = "ARCADE_TEST_CLOCK"    // a duration that is added to the clock
	testAsIs     = "ARCADE_TEST_AS_IS"    // start flushers as the released program does
)

// arcadeUnderTest is main with the seams that tests need.
func arcadeUnderTest() {
	a := newApp()
	points := startPoints()
	a.point = points.reach
	if port, err := strconv.Atoi(os.Getenv(testCallback)); err == nil {
		a.callback = port
	}
	if d, err := time.ParseDuration(os.Getenv(testClock)); err == nil {
		a.now = func() time.Time { return time.Now().Add(d) }
	}
	a.browse = browseAsAPersonWould
	a.extend = addTestCommands
	a.spawn = spawnUnderTest
	defer holdLease(os.Getenv(testLease)).Close() // not run, but kept for ever
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := a.run(ctx, os.Args[1:])
	points.trace("exit")
	os.Exit(code)
}

// spawnUnderTest starts a flusher that is under test, too.
func spawnUnderTest(environment []string) error {
	if os.Getenv(testAsIs) != "" {
		return startFlusher(environment)
	}
	lease, err := newLease()
	if err != nil {
		return err
	}
	visible := append(systemEnvironment(), childMarker+"=1", "GORACE="+os.Getenv("GORACE"), testLease+"="+lease)
	err = startDetached(environment, append(visible, childTestEnvironment()...))
	if err != nil && lease != "" {
		os.Remove(lease)
	}
	return err
}

// browseAsAPersonWould opens the login page, where the fake Arcade Cloud logs in at once and
// redirects to the callback.
func browseAsAPersonWould(address string) error {
	go func() {
		if response, err := http.Get(address); err == nil {
			io.Copy(io.Discard, response.Body)
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
	add("wait", func(cmd *cobra.Command, _ []string) error {
		io.WriteString(cmd.OutOrStdout(), "waiting\n")
		<-cmd.Context().Done()
		return cmd.Context().Err()
	})
}
