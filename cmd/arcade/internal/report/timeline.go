package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The height of the two drawings, in units of their own: they are stretched to the page.
const (
	tall = 160
	flat = 60
)

func (p *page) timeline(data Data, s *sums) {
	if s.total == 0 {
		p.section("Timeline", "Nothing has been recorded yet.")
		p.end()
		return
	}
	c := s.scale(data.Now)
	gaps := s.gaps(data)
	p.section("Timeline", fmt.Sprintf("%s since %s, by when they were recorded and what became of them.",
		counted(s.total, "message", "messages"), p.clock(c.first)))
	p.legend(len(gaps) > 0)
	p.bars(c, s.tallies(c), gaps)
	p.line(c, s.waiting(c), gaps)
	p.ticks(c)
	p.gaps(gaps)
	p.numbers(c, s.tallies(c))
	p.end()
}

func (p *page) legend(gaps bool) {
	p.add("<ul class=legend><li class=delivered>delivered<li class=pending>waiting<li class=dead>dead")
	if gaps {
		p.add("<li class=gap>no delivery")
	}
	p.add("</ul>\n")
}

// plot opens a drawing with its axis from 0 to top; the caller closes it.
func (p *page) plot(c scale, title string, top, height int, about string, gaps []gap) {
	p.add("<figure class=plot><figcaption>", title, "</figcaption><span class=top>", short(top),
		"</span><span class=zero>0</span>\n<svg role=img class=h", strconv.Itoa(height), ` viewBox="0 0 `, strconv.Itoa(c.slots), " ",
		strconv.Itoa(height), `" preserveAspectRatio=none><title>`, about, "</title>\n")
	for _, g := range gaps {
		from, until := c.x(g.from), c.x(g.until)
		p.add(`<rect class=gap x=`, unit(from), " y=0 width=", unit(until-from), " height=", strconv.Itoa(height), "><title>",
			p.plain(g.from), " to ", p.plain(g.until), ": no delivery</title></rect>\n")
	}
	fmt.Fprintf(p, "<path class=grid d=\"M0 0H%[1]d M0 %[2]dH%[1]d M0 %[3]dH%[1]d\"/>\n", c.slots, height/2, height)
}

func (p *page) bars(c scale, tallies []tally, gaps []gap) {
	top := 0
	for _, t := range tallies {
		top = max(top, t.total())
	}
	top = ceiling(top)
	p.plot(c, "Recorded in each "+slotName(c.step), top, tall, "Messages by the time they were recorded", gaps)
	for i, t := range tallies {
		if t.total() > 0 {
			p.bar(c, i, t, top)
		}
	}
	p.add("</svg></figure>\n")
}

func (p *page) bar(c scale, slot int, t tally, top int) {
	p.add("<g><title>", p.inWords(c, slot, t), "</title>")
	y := float64(tall)
	for _, state := range []State{Delivered, Pending, Dead} {
		if t[state] == 0 {
			continue
		}
		height := max(float64(t[state])/float64(top)*tall, 2) // seen beside a thousand
		y = max(y-height, 0)
		p.add("<rect class=", string(state), " x=", unit(float64(slot)+0.12), " y=", unit(y), " width=.76 height=", unit(height), " />")
	}
	p.add("</g>\n")
}

// line draws how many waited, as an area under steps.
func (p *page) line(c scale, waiting []int, gaps []gap) {
	most := 0
	for _, n := range waiting {
		most = max(most, n)
	}
	top := ceiling(most)
	p.plot(c, "Waiting at the same time", top, flat, "How many messages waited; "+number(most)+" at most", gaps)
	var d strings.Builder
	last := -1
	fmt.Fprintf(&d, "M0 %d", flat)
	for i, n := range waiting {
		if n != last {
			fmt.Fprintf(&d, "H%sV%s", unit(float64(i)/perSlot), unit(flat-float64(n)/float64(top)*flat))
			last = n
		}
	}
	fmt.Fprintf(&d, "H%d", c.slots)
	p.add(`<path class=edge d="`, d.String(), `"/><path class=area d="`, d.String(), "V", strconv.Itoa(flat), "Z\"/></svg></figure>\n")
}

func (p *page) ticks(c scale) {
	const parts = 4
	p.add("<p class=ticks>")
	for i := range parts + 1 {
		at := c.at(float64(i) * float64(c.slots) / parts)
		p.add("<span>", at.In(p.now.Location()).Format(tickLayout(c)), "</span>")
	}
	p.add("</p>\n")
}

func tickLayout(c scale) string {
	switch whole := time.Duration(c.slots) * c.step; {
	case whole <= 24*time.Hour:
		return "15:04"
	case whole <= 6*24*time.Hour:
		return "Mon 15:04"
	case whole <= 300*24*time.Hour:
		return "2 Jan"
	default:
		return "Jan 2006"
	}
}

const maxGaps = 10

// gaps lists the latest stretches without a delivery, the latest first.
func (p *page) gaps(gaps []gap) {
	if len(gaps) == 0 {
		return
	}
	shown := min(len(gaps), maxGaps)
	p.add("<h3>Stretches without a delivery</h3>\n<p class=note>Events waited longer than ", span(patience),
		", or wait now: no network, or no command that would have delivered them. ", cut(shown, len(gaps), "stretches", "latest"), "</p>\n<ul class=gaps>\n")
	for i := range shown {
		p.gap(gaps[len(gaps)-1-i])
	}
	p.add("</ul>\n")
}

func (p *page) gap(g gap) {
	until, waited := p.clock(g.until), counted(g.events, "message waited", "messages waited")
	if g.open {
		until, waited = "now", counted(g.events, "message waits", "messages wait")
	}
	p.add("<li><b>", span(g.until.Sub(g.from)), "</b> ", p.clock(g.from), " – ", until, " · ", waited)
	if g.reason != "" {
		p.add(" · ", foreign(g.reason, 200))
	}
	p.add("</li>\n")
}

// numbers says the same as the bars to who cannot see them.
func (p *page) numbers(c scale, tallies []tally) {
	p.add("<details class=numbers><summary>The same in numbers</summary>\n<ul>\n")
	for i := len(tallies) - 1; i >= 0; i-- {
		if tallies[i].total() > 0 {
			p.add("<li>", p.inWords(c, i, tallies[i]), "\n")
		}
	}
	p.add("</ul></details>\n")
}

func (p *page) inWords(c scale, slot int, t tally) string {
	words := p.plain(c.at(float64(slot))) + ": " + number(t.total()) + " recorded"
	for _, state := range []State{Delivered, Pending, Dead} {
		if t[state] > 0 {
			words += ", " + number(t[state]) + " " + label(state)
		}
	}
	return words
}

func label(s State) string {
	if s == Pending {
		return "waiting"
	}
	return string(s)
}

// slotName words the length of a slot.
func slotName(step time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case step == day:
		return "day"
	case step == time.Hour:
		return "hour"
	case step == time.Minute:
		return "minute"
	case step > day && step%day == 0:
		return fmt.Sprintf("%d days", step/day)
	default:
		return span(step)
	}
}

// ceiling is the next number that is round enough for the end of an axis.
func ceiling(n int) int {
	for unit := 1; ; unit *= 10 {
		for _, round := range []int{2, 3, 4, 5, 6, 8, 10, 12, 15} {
			if n <= round*unit {
				return round * unit
			}
		}
	}
}

// short fits beside an axis: its end is a round number.
func short(n int) string {
	if n >= 1000 && n%1000 == 0 {
		return number(n/1000) + "k"
	}
	return number(n)
}

// unit writes a length of a drawing as short as its precision allows.
func unit(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(x, 'f', 2, 64), "0"), ".")
}
