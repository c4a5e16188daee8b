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
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run serves until ctx ends and returns the exit code: 1 if a sender did what it must never do or the sink could not
// start, 2 for wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("sink", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	address := flags.String("listen", "127.0.0.1:8377", "")
	latency := flags.Duration("latency", 0, "")
	isOld := flags.Bool("old", false, "")
	var faults script
	flags.Func("fault", "", faults.add)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprint(stdout, help)
		return 0
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "sink: %v\nRun sink --help for usage.\n", err)
		return 2
	}
	server := outboxtest.NewServer()
	server.SetFault(faults.then, faults.once...)
	server.SetLatency(*latency)
	server.SetWithoutV1(*isOld)
	out := printer{out: stdout, server: server}
	if err := out.listen(*address); err != nil {
		_, _ = fmt.Fprintf(stderr, "sink: %v\nIs another sink running? --listen 127.0.0.1:0 picks a free port.\n", err)
		return 1
	}
	<-ctx.Done()
	server.Close()
	if out.summary() > 0 {
		return 1
	}
	return 0
}

// script is which fault each delivery meets: those of once one after the other, and from then on then.
type script struct {
	once []outboxtest.Fault
	then outboxtest.Fault
}

// add takes "3x503", that fault three times, or a fault from then on, which nothing can follow.
func (s *script) add(word string) error {
	times, mode, isCounted := strings.Cut(word, "x")
	count, err := strconv.Atoi(times)
	switch {
	case s.then != "":
		return fmt.Errorf("fault %q is never reached: %q goes on for ever, give it a count as in 3x%s", word, s.then, s.then)
	case !isCounted || err != nil:
		s.then = outboxtest.Fault(word)
		return s.then.Check()
	case count < 1 || count > 100_000 || mode == "":
		return fmt.Errorf("fault %q: write a count from 1 to 100,000 and a mode, as in 3x503", word)
	}
	fault := outboxtest.Fault(mode)
	s.once = append(s.once, slices.Repeat([]outboxtest.Fault{fault}, count)...)
	return fault.Check()
}

const help = `sink stands in for PostHog's capture endpoint and prints what arrives.

Usage: sink [flags]

  --listen ADDRESS   where to listen (127.0.0.1:8377); port 0 picks a free one
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
