package report

import (
	"math"
	"slices"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
)

// How many items of each list are shown.
const maxGaps, maxCommands, maxReasons, maxStints, maxIdentities = 10, 30, 20, 20, 20

func (p *page) commands(s *sums) {
	list := mostFirst(s.commands, func(c command) int { return len(c.durations) })
	if len(list) == 0 {
		return
	}
	p.section("Commands", "Half of the runs took no longer than the median, nine of ten no longer than “slow”."+
		cut(len(list), maxCommands, "most frequent", "commands"))
	p.add("<table><thead><tr><th>Command<th class=n>Runs<th class=n>Failed<th class=n>Median<th class=n>Slow</thead>\n<tbody>\n")
	most := len(s.commands[list[0]].durations)
	width := func(runs int) string { return unit(float64(runs) / float64(most) * 100) }
	for _, name := range list[:min(len(list), maxCommands)] {
		c := s.commands[name]
		runs := len(c.durations)
		good, failed := width(runs-c.failures), number(c.failures)
		if c.failures > 0 {
			failed += " <span class=off>" + unit(math.Round(float64(c.failures)/float64(runs)*1000)/10) + "&nbsp;%</span>"
		}
		p.add("<tr><th scope=row><code>", foreign(name, 60), "</code>",
			"<svg class=share viewBox=\"0 0 100 1\" preserveAspectRatio=none aria-hidden=true>",
			"<rect class=good width=", good, " height=1 /><rect class=dead x=", good, " width=", width(c.failures), " height=1 /></svg>",
			"<td class=n>", number(runs), "<td class=n>", failed,
			"<td class=n>", term.Milliseconds(c.quantile(0.5)), "<td class=n>", term.Milliseconds(c.quantile(0.9)), "\n")
	}
	p.add("</tbody></table>\n</section>\n")
}

func (p *page) reasons(s *sums) {
	list := mostFirst(s.reasons, func(r reason) int { return r.failures })
	if len(list) == 0 {
		return
	}
	p.section("Why commands failed", "In the words of the events, the most frequent first."+
		cut(len(list), maxReasons, "most frequent", "reasons"))
	p.add("<table><thead><tr><th>Reason<th class=n>Failures<th class=n>Latest</thead>\n<tbody>\n")
	for _, why := range list[:min(len(list), maxReasons)] {
		r, words := s.reasons[why], foreign(why, 120)
		if why == "" {
			words = "<span class=off>no reason recorded</span>"
		}
		p.add("<tr><th scope=row>", words, "<td class=n>", number(r.failures),
			"<td class=n>", p.clock(r.last), " <span class=off>", foreign(r.command, 24), "</span>\n")
	}
	p.add("</tbody></table>\n</section>\n")
}

func (p *page) owners(snapshot track.Snapshot, s *sums) {
	anonID, principal := snapshot.AnonID, snapshot.PrincipalID
	if anonID == "" && len(s.points) == 0 {
		return
	}
	owner := "This machine has no id yet."
	if principal != "" {
		owner = "New events belong to " + code(principal) + ", the account that is logged in. This machine’s random id is " +
			code(anonID) + "."
	} else if anonID != "" {
		owner = "New events are anonymous: they belong to a random id, " + code(anonID) + ". A login links it to an account."
	}
	p.section("Whose the events are", owner)
	p.stints(s.stints)
	p.identities(snapshot)
	p.add("</section>\n")
}

func (p *page) stints(list []stint) {
	if len(list) == 0 {
		return
	}
	p.add("<h3>When that changed</h3>\n<p class=note>", cut(len(list), maxStints, "latest", "stretches"), "</p>\n<ol class=stints>\n")
	for _, s := range slices.Backward(list[max(len(list)-maxStints, 0):]) {
		kind := "<b>account</b> " + code(s.id)
		if s.id == "" {
			kind = "<b>not known yet</b>"
		} else if s.anonymous {
			kind = "<b>anonymous</b> " + code(s.id)
		}
		p.add("<li><span class=when>", p.stretch(s.from, s.until), "</span> ", kind,
			" <span class=off>", counted(s.events, "event", "events"), "</span></li>\n")
	}
	p.add("</ol>\n")
}

func (p *page) identities(snapshot track.Snapshot) {
	list := snapshot.Identities
	if len(list) == 0 {
		return
	}
	p.add("<details class=numbers><summary>", counted(len(list), "random id", "random ids"), " of this machine</summary>\n",
		"<p class=note>A logout gives the machine a new one.", cut(len(list), maxIdentities, "latest", "ids"), "</p>\n<ol class=stints>\n")
	for _, id := range slices.Backward(list[max(len(list)-maxIdentities, 0):]) {
		linked := "never linked"
		if id.PrincipalID != "" {
			linked = "linked to " + code(id.PrincipalID)
		}
		p.add("<li><span class=when>", p.stretch(id.From, id.Until), "</span> ", code(id.AnonID),
			" <span class=off>", linked, "</span></li>\n")
	}
	p.add("</ol></details>\n")
}
