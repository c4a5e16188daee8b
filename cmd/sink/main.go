// Command sink is a local stand-in for PostHog's capture endpoint. It prints every message
// that arrives, so that a person can watch delivery, and fails on demand in every way a
// network or a server fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // a sender did what it must never do, or the sink could not start
	exitUsage   = 2
)

// options are the flags.
type options struct {
	listen  string
	script  script
	latency time.Duration
	old     bool
}

// run is the program. It returns its exit code when a signal comes.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = fmt.Fprint(stdout, help)
		return exitOK
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "sink: %v\nRun sink --help for usage.\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := outboxtest.NewServer()
	server.SetFault(o.script.then, o.script.once...)
	server.SetLatency(o.latency)
	server.SetWithoutV1(o.old)
	out := newPrinter(stdout, server)
	server.Watch(out.happened)
	if err := out.listen(o.listen); err != nil {
		_, _ = fmt.Fprintf(stderr, "sink: %v\nIs another sink running? --listen 127.0.0.1:0 picks a free port.\n", err)
		return exitFailure
	}
	<-ctx.Done()
	server.Close()
	out.summary()
	if len(server.Violations()) > 0 {
		return exitFailure
	}
	return exitOK
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("sink", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8377", "")
	flags.Func("fault", "", o.script.add)
	flags.DurationVar(&o.latency, "latency", 0, "")
	flags.BoolVar(&o.old, "old", false, "")
	err = flags.Parse(args)
	switch {
	case err != nil:
		return o, err
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.latency < 0:
		return o, errors.New("a latency cannot be negative")
	}
	return o, checkLoopback(o.listen)
}

// checkLoopback refuses addresses that other machines can reach: the sink believes every sender.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--listen %s: write an address and a port, such as 127.0.0.1:8377", address)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("--listen %s: the sink listens on loopback only, such as 127.0.0.1:8377", address)
}

const help = `sink stands in for PostHog's capture endpoint and prints what arrives.

Usage: sink [flags]

  --listen ADDRESS   loopback address (127.0.0.1:8377); port 0 picks a free one
  --fault MODE       fail in this way from now on; with a count, as in 3x503,
                     for so many requests. May be repeated: faults are used in
                     order, and behind one with a count all is well again
  --latency D        wait so long before each answer, for example 50ms
  --old              be a PostHog without capture v1

Fault modes. The word commit+ before a mode keeps the messages first and then
fails, for example commit+hang; the first and the two pages cannot do that.

  reset-in-body      reset the connection in the middle of the body
  reset-after-body   reset it after the body
  close              close it after the body, without an answer
  hang               never answer, until the client leaves
  short-body         200 with less body than Content-Length says
  portal             200 with the log-in page of a captive portal
  page-400           400 with a page, as a web server answers plain HTTP
  page-413           413 with a page, as a proxy answers a large body
  quota-limited      the quota is used up
  503                that status, and any other from 201 to 599. From 400 on
                     with :retry-after=TEXT if wanted

One line for each message: request and place in it, time (UTC), event, command,
and the ends of distinct id and uuid. On Ctrl-C or SIGTERM a summary; the exit
code is 1 if a sender did what it must never do.
`
