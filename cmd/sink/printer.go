package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// printer writes line by line, for several goroutines. The sink serves on when its output cannot be written.
type printer struct {
	mu  sync.Mutex
	out io.Writer
	day string // the day of the last message's line, "" before the first
}

// hold keeps every line back until start.
func (p *printer) hold() { p.mu.Lock() }

// start prints the address and lets all other lines follow.
func (p *printer) start(url string) {
	defer p.mu.Unlock()
	p.line("listening on %s", url)
}

// line prints one line. It is called with the lock held.
func (p *printer) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, format+"\n", args...)
}

// message prints what was kept. A repeat says so in place of its event's name.
func (p *printer) message(c outboxtest.Commit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if day := c.Timestamp.Format(time.DateOnly); day != p.day {
		if p.day == "" {
			p.line("%-7s%-13s%-24s%-13s%9s %12s", "REQ.NO", "TIME (UTC)", "EVENT", "COMMAND", "...ID", "...UUID")
		}
		p.day = day
		p.line("       %s", day)
	}
	event := c.Event
	if c.Repeat {
		event = "again: " + event
	}
	command, _ := c.Properties()["command_name"].(string)
	if c.IsAlias() {
		command = "<- " + tail(c.Alias, 9)
	}
	p.line("%-6s %s %-23s %-12s %9s %s", fmt.Sprintf("%d.%d", c.Request, c.Seq), c.Timestamp.Format("15:04:05.000"),
		head(event, 23), head(command, 12), tail(c.DistinctID, 9), tail(c.UUID, 12))
}

// request prints a request that was not accepted as usual.
func (p *printer) request(r outboxtest.Request) {
	fault := r.Fault != "" && r.Refusal == ""
	if !fault && r.Refusal == "" {
		return
	}
	said := "not answered"
	if r.Status != 0 {
		said = fmt.Sprintf("answered %d", r.Status)
	}
	why := r.Refusal
	if fault {
		why = "fault " + string(r.Fault)
	}
	p.sentence(fmt.Sprintf("request %d: %s, %d kept, %s: %s", r.Number, count(r.Events, "message"), r.Committed, said, why))
}

// happened prints an event of the server.
func (p *printer) happened(what any) {
	switch what := what.(type) {
	case outboxtest.Commit:
		p.message(what)
	case outboxtest.Request:
		p.request(what)
	case string:
		p.sentence("VIOLATION: " + what)
	}
}

// sentence prints one, without what would control the terminal.
func (p *printer) sentence(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line("%s", visible(strings.TrimSpace(text)))
}

// summary prints the last line.
func (p *printer) summary(s *outboxtest.Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	events, commits := len(s.Events()), len(s.Commits())
	p.line("%s in %s, %s, %s", count(events, "message"), count(len(s.Requests()), "request"),
		count(commits-events, "repeat"), count(len(s.Violations()), "violation"))
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// head is text cut to so many columns at its end.
func head(text string, columns int) string {
	runes := []rune(visible(text))
	if len(runes) <= columns {
		return string(runes)
	}
	return string(runes[:columns-1]) + "…"
}

// tail is text cut to so many columns at its start, where ids that are made from a clock are
// all alike.
func tail(text string, columns int) string {
	runes := []rune(visible(text))
	return string(runes[max(0, len(runes)-columns):])
}

// visible replaces what would move the cursor or colour the terminal of the reader.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
