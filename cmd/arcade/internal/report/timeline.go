package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/term"
	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

const (
	// maxSlots is the highest number of bars: as many as can be told apart on a telephone.
	maxSlots = 48
	// minSlots is the lowest, on a machine that has recorded for a minute: a bar as wide as the page is useless.
	minSlots = 24
	// perSlot is how finely the line of what waits is drawn.
	perSlot = 6
)

// scale divides the time from the first message, or earlier, until now into slots of equal length.
type scale struct {
	first time.Time // the first recording
	start time.Time // of the first slot
	step  time.Duration
	slots int
}

func (s *sums) scale(now time.Time) scale {
	first, last := s.points[0].recorded, now.UnixMilli()
	for _, p := range s.points {
		first, last = min(first, p.recorded), max(last, p.recorded) // the clock may have been ahead
	}
	c := scale{first: time.UnixMilli(first).UTC()}
	end := time.UnixMilli(last).UTC()
	c.step = stepFor(end.Sub(c.first))
	_, offset := now.Zone()
	zone := time.Duration(offset) * time.Second
	c.start = c.first.Add(zone).Truncate(c.step).Add(-zone)
	c.slots = int(end.Sub(c.start)/c.step) + 1
	if missing := minSlots - c.slots; missing > 0 {
		c.start, c.slots = c.start.Add(-time.Duration(missing)*c.step), minSlots
	}
	return c
}

// stepFor returns a round length of which maxSlots cover the whole, wherever the first one begins.
func stepFor(whole time.Duration) time.Duration {
	for _, minutes := range []time.Duration{
		1, 2, 5, 10, 15, 30, 60, 2 * 60, 3 * 60, 4 * 60, 6 * 60, 12 * 60, 24 * 60, 2 * 24 * 60, 7 * 24 * 60, 30 * 24 * 60,
	} {
		if whole/(minutes*time.Minute) < maxSlots-1 {
			return minutes * time.Minute
		}
	}
	return whole/(maxSlots-2) + time.Second
}

// x is the place of a moment, in slots.
func (c scale) x(t time.Time) float64 {
	return min(max(float64(t.Sub(c.start))/float64(c.step), 0), float64(c.slots))
}

// part is the place of a moment in whole parts of slots; each slot has per of them.
func (c scale) part(unixMilli int64, per int) int {
	return min(int(c.x(time.UnixMilli(unixMilli))*float64(per)), c.slots*per-1)
}

func (c scale) at(x float64) time.Time { return c.start.Add(time.Duration(x * float64(c.step))) }

// tally is what was recorded in a slot, by what became of it.
type tally map[outbox.State]int

func (t tally) total() int { return t[outbox.Delivered] + t[outbox.Pending] + t[outbox.Dead] }

func (s *sums) tallies(c scale) []tally {
	list := make([]tally, c.slots)
	for i := range list {
		list[i] = tally{}
	}
	for _, p := range s.points {
		list[c.part(p.recorded, 1)][p.state]++
	}
	return list
}

// waiting returns how many messages waited at the end of each part of each slot.
func (s *sums) waiting(c scale) []int {
	list := make([]int, c.slots*perSlot)
	for _, p := range s.points {
		if p.state == outbox.Pending {
			list[c.part(p.recorded, perSlot)]++
		} else if p.settled != 0 { // otherwise its wait is unknown
			list[c.part(p.recorded, perSlot)]++
			list[c.part(p.settled, perSlot)]--
		}
	}
	for i := range list[1:] {
		list[i+1] += list[i]
	}
	return list
}

// The heights of the two drawings, in units of their own: the page stretches them.
const tall, flat = 160, 60

// keeping is why the page cannot show older messages.
const keeping = "Receipts of delivered messages are kept for 7 days, the newest 500 at most: older ones are gone."

func (p *page) timeline(snapshot track.Snapshot, s *sums) {
	if len(s.points) == 0 {
		p.section("Timeline", "Nothing is recorded here. "+keeping)
		p.add("</section>\n")
		return
	}
	c, gaps := s.scale(p.now), s.gaps(snapshot, p.now)
	tallies := s.tallies(c)
	p.section("Timeline", fmt.Sprintf("%s since %s, by when they were recorded and what became of them. %s",
		counted(len(s.points), "message", "messages"), p.clock(c.first), keeping))
	p.add("<ul class=legend><li class=delivered>delivered<li class=pending>waiting<li class=dead>dead<li class=gap>no delivery</ul>\n")
	p.bars(c, tallies, gaps)
	p.line(c, s.waiting(c), gaps)
	p.ticks(c)
	p.gaps(gaps)
	p.add("<details class=numbers><summary>The same in numbers</summary>\n<ul>\n")
	for i, t := range slices.Backward(tallies) {
		if t.total() > 0 {
			p.add("<li>", p.inWords(c, i, t), "\n")
		}
	}
	p.add("</ul></details>\n</section>\n")
}

// plot opens a drawing with its axis from 0 to top; the caller closes it.
func (p *page) plot(c scale, title string, top, height int, about string, gaps []gap) {
	fmt.Fprintf(p, "<figure class=plot><figcaption>%s</figcaption><span class=top>%s</span><span class=zero>0</span>\n",
		title, strings.Replace(number(top), ",000", "k", 1)) // the end of an axis is a round number
	fmt.Fprintf(p, "<svg role=img class=h%[1]d viewBox=\"0 0 %[2]d %[1]d\" preserveAspectRatio=none><title>%[3]s</title>\n",
		height, c.slots, about)
	for _, g := range gaps {
		from := c.x(g.from)
		fmt.Fprintf(p, "<rect class=gap x=%s y=0 width=%s height=%d><title>%s to %s: no delivery</title></rect>\n",
			unit(from), unit(c.x(g.until)-from), height, p.moment(g.from), p.moment(g.until))
	}
	fmt.Fprintf(p, "<path class=grid d=\"M0 0H%[1]d M0 %[2]dH%[1]d M0 %[3]dH%[1]d\"/>\n", c.slots, height/2, height)
}

func (p *page) bars(c scale, tallies []tally, gaps []gap) {
	top := 0
	for _, t := range tallies {
		top = max(top, t.total())
	}
	top = ceiling(top)
	p.plot(c, "Recorded; a bar is "+term.Span(c.step), top, tall, "Messages by the time they were recorded", gaps)
	for slot, t := range tallies {
		if t.total() == 0 {
			continue
		}
		p.add("<g><title>", p.inWords(c, slot, t), "</title>")
		y := float64(tall)
		for _, state := range states() {
			if t[state] > 0 {
				height := min(max(float64(t[state])/float64(top)*tall, 2), y) // at least 2: seen beside a thousand
				y -= height
				p.add("<rect class=", string(state), " x=", unit(float64(slot)+0.12), " y=", unit(y), " width=.76 height=", unit(height), " />")
			}
		}
		p.add("</g>\n")
	}
	p.add("</svg></figure>\n")
}

// line draws how many messages waited, as an area under steps.
func (p *page) line(c scale, waiting []int, gaps []gap) {
	most := slices.Max(waiting)
	p.plot(c, "Waiting", ceiling(most), flat, "How many messages waited; "+number(most)+" at most", gaps)
	var d strings.Builder
	fmt.Fprintf(&d, "M0 %d", flat)
	for i, n := range waiting {
		if i == 0 || n != waiting[i-1] {
			fmt.Fprintf(&d, "H%sV%s", unit(float64(i)/perSlot), unit(flat-float64(n)/float64(ceiling(most))*flat))
		}
	}
	fmt.Fprintf(p, "<path class=area d=\"%sH%dV%dZ\"/></svg></figure>\n", d.String(), c.slots, flat)
}

func (p *page) ticks(c scale) {
	const parts = 4
	p.add("<p class=ticks>")
	for i := range parts + 1 {
		p.add("<span>", p.moment(c.at(float64(i*c.slots)/parts)), "</span>")
	}
	p.add("</p>\n")
}

// gaps lists the latest stretches without a delivery, the latest first.
func (p *page) gaps(gaps []gap) {
	if len(gaps) == 0 {
		return
	}
	p.add("<h3>Stretches without a delivery</h3>\n<p class=note>Events waited longer than ", term.Span(patience),
		", or wait now: no network, or no command that would have delivered them.",
		cut(len(gaps), maxGaps, "latest", "stretches"), "</p>\n<ul class=gaps>\n")
	for _, g := range slices.Backward(gaps[max(len(gaps)-maxGaps, 0):]) {
		p.add("<li><b>", term.Span(g.until.Sub(g.from)), "</b> ", p.stretch(g.from, g.until), " · ",
			counted(g.messages, "message", "messages"))
		if g.reason != "" {
			p.add(" · ", foreign(g.reason, 200))
		}
		p.add("</li>\n")
	}
	p.add("</ul>\n")
}

// states are the states in the order of their display.
func states() [3]outbox.State {
	return [...]outbox.State{outbox.Delivered, outbox.Pending, outbox.Dead}
}

// inWords says what a bar shows.
func (p *page) inWords(c scale, slot int, t tally) string {
	words := p.moment(c.at(float64(slot))) + ": " + number(t.total()) + " recorded"
	for _, state := range states() {
		if t[state] > 0 {
			words += ", " + number(t[state]) + " " + label(state)
		}
	}
	return words
}

// ceiling is the next number round enough for the end of an axis.
func ceiling(n int) int {
	for unit := 1; ; unit *= 10 {
		for _, round := range []int{2, 3, 4, 5, 6, 8, 10, 12, 15} {
			if n <= round*unit {
				return round * unit
			}
		}
	}
}
