package report

import (
	"fmt"
	"strconv"
)

const maxCommands = 30

func (p *page) commands(s *sums) {
	list := s.byRuns()
	if len(list) == 0 {
		return
	}
	shown := min(len(list), maxCommands)
	p.section("Commands", "Half of the runs took no longer than the median, nine of ten no longer than “slow”. "+
		cut(shown, len(list), "commands", "most frequent"))
	p.add("<table class=commands><thead><tr><th>Command<th class=n>Runs<th class=n>Failed<th class=n>Median<th class=n>Slow</thead>\n<tbody>\n")
	for _, c := range list[:shown] {
		p.command(c, len(list[0].durations))
	}
	p.add("</tbody></table>\n")
	p.end()
}

func (p *page) command(c *command, most int) {
	runs := len(c.durations)
	good := float64(runs-c.failures) / float64(most) * 100
	bad := float64(c.failures) / float64(most) * 100
	p.add("<tr><th scope=row><code>", foreign(c.name, 60), "</code><svg class=share viewBox=\"0 0 100 1\" preserveAspectRatio=none aria-hidden=true>",
		"<rect class=good width=", unit(good), " height=1 /><rect class=dead x=", unit(good), " width=", unit(bad), " height=1 /></svg>",
		"<td class=n>", number(runs), "<td class=n>", failed(c.failures, runs),
		"<td class=n>", took(c.quantile(0.5)), "<td class=n>", took(c.quantile(0.9)), "\n")
}

func failed(failures, runs int) string {
	if failures == 0 {
		return "<span class=off>0</span>"
	}
	share := strconv.Itoa((failures*100 + runs/2) / runs)
	if share == "0" {
		share = "&lt;1"
	}
	return number(failures) + " <span class=off>" + share + "&nbsp;%</span>"
}

// idLimit is how much of an id is shown: PostHog cuts at 200, ours are at most 40.
const idLimit = 60

const maxStints, maxIdentities = 20, 20

func (p *page) owners(data Data, s *sums) {
	if data.AnonID == "" && s.total == 0 {
		return
	}
	p.section("Whose the events are", p.whose(data))
	p.stints(s.stints)
	p.identities(data.Identities)
	p.end()
}

func (p *page) whose(data Data) string {
	id := "<code>" + foreign(data.AnonID, idLimit) + "</code>"
	switch {
	case data.AnonID == "":
		return "This machine has no id yet."
	case data.PrincipalID != "":
		return "New events belong to <code>" + foreign(data.PrincipalID, idLimit) + "</code>, the account that is logged in. This machine’s random id is " + id + "."
	default:
		return "New events are anonymous: they belong to a random id, " + id + ". A login links it to an account."
	}
}

func (p *page) stints(list []stint) {
	if len(list) == 0 {
		return
	}
	shown := min(len(list), maxStints)
	p.add("<h3>When that changed</h3>\n")
	if note := cut(shown, len(list), "stretches", "latest"); note != "" {
		p.add("<p class=note>", note, "</p>\n")
	}
	p.add("<ol class=stints>\n")
	for i := range shown {
		p.stint(list[len(list)-1-i])
	}
	p.add("</ol>\n")
}

func (p *page) stint(s stint) {
	kind := "account"
	switch {
	case s.who == "":
		kind = "not known yet"
	case s.anonymous:
		kind = "anonymous"
	}
	p.add("<li><span class=when>", p.stretch(s.from, s.until), "</span> <b>", kind, "</b> ")
	if s.who != "" {
		p.add("<code>", foreign(s.who, idLimit), "</code> ")
	}
	p.add("<span class=off>", counted(s.messages, "event", "events"), "</span></li>\n")
}

func (p *page) identities(list []Identity) {
	if len(list) == 0 {
		return
	}
	shown := min(len(list), maxIdentities)
	fmt.Fprintf(p, "<details class=numbers><summary>%s of this machine</summary>\n<p class=note>A logout gives the machine a new one. %s</p>\n<ol class=stints>\n",
		counted(len(list), "random id", "random ids"), cut(shown, len(list), "ids", "latest"))
	for i := range shown {
		p.identity(list[len(list)-1-i])
	}
	p.add("</ol></details>\n")
}

func (p *page) identity(id Identity) {
	until, linked := "now", "never linked"
	if !id.Until.IsZero() {
		until = p.clock(id.Until)
	}
	if id.PrincipalID != "" {
		linked = "linked to <code>" + foreign(id.PrincipalID, idLimit) + "</code>"
	}
	p.add("<li><span class=when>", p.clock(id.From), " – ", until, "</span> <code>", foreign(id.AnonID, idLimit), "</code> ",
		"<span class=off>", linked, "</span></li>\n")
}
