package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

// printer writes line by line, for several goroutines. The sink serves on when its output cannot be written.
type printer struct {
	server *outboxtest.Server
	mu     sync.Mutex // held while one event, with all its lines, is printed
	out    io.Writer
	day    string   // the day of the last message's line, "" before the first
	told   []string // the violations that have been printed
}

// line prints one line, without what would move the cursor or colour the terminal of the reader.
func (p *printer) line(format string, args ...any) {
	visible := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, fmt.Sprintf(format, args...))
	_, _ = fmt.Fprintln(p.out, visible)
}

// listen makes the server listen, and prints the address before a request can be printed.
func (p *printer) listen(address string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server.Watch(p.happened)
	err := p.server.Listen(address)
	if err == nil {
		p.line("listening on %s", p.server.URL())
		p.line("%-7s%-13s%-24s%-13s%9s %12s", "REQ.NO", "TIME (UTC)", "EVENT", "COMMAND", "...ID", "...UUID")
	}
	return err
}

// happened prints an event of the server, and what has become a violation with it.
func (p *printer) happened(what any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch what := what.(type) {
	case outboxtest.Commit:
		p.message(what)
	case outboxtest.Request:
		p.request(what)
		p.violations()
	}
}

// message prints what was kept. A repeat says so in place of its event's name.
func (p *printer) message(c outboxtest.Commit) {
	if day := c.Timestamp.Format(time.DateOnly); day != p.day {
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
	p.line("%-6s %s %-23.23s %-12.12s %9s %s", fmt.Sprintf("%d.%d", c.Request, c.Seq), c.Timestamp.Format("15:04:05.000"),
		event, command, tail(c.DistinctID, 9), tail(c.UUID, 12))
}

// request prints a request that was not accepted as usual.
func (p *printer) request(r outboxtest.Request) {
	why, answer := strings.TrimSpace(r.Refusal), "not answered"
	if why == "" && r.Fault != "" {
		why = "fault " + string(r.Fault)
	}
	if r.Status != 0 {
		answer = fmt.Sprintf("answered %d", r.Status)
	}
	if why != "" {
		p.line("request %d: kept %d of %d, %s: %s", r.Number, r.Committed, r.Events, answer, why)
	}
}

func (p *printer) violations() {
	for _, violation := range p.server.Violations() {
		if !slices.Contains(p.told, violation) {
			p.told = append(p.told, violation)
			p.line("VIOLATION: %s", violation)
		}
	}
}

// summary prints what was not told yet, and the last line. It returns how many violations there were.
func (p *printer) summary() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.violations()
	events, commits := len(p.server.Events()), len(p.server.Commits())
	p.line("messages: %d, requests: %d, repeats: %d, violations: %d", events, len(p.server.Requests()), commits-events, len(p.told))
	return len(p.told)
}

// tail is text cut to so many columns at its start, where ids that are made from a clock are
// all alike.
func tail(text string, columns int) string {
	runes := []rune(text)
	return string(runes[max(0, len(runes)-columns):])
}
