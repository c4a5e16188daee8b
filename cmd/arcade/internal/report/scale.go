package report

import (
	"cmp"
	"slices"
	"time"
)

// maxSlots is how many bars there are at most: as many as can be told apart on a telephone.
const maxSlots = 48

// minSlots is how many there are on a machine that has recorded for a minute: one bar as wide as
// the page says nothing.
const minSlots = 24

// perSlot is how finely the line of what waits is drawn.
const perSlot = 6

// scale divides the time from the first message, or before it, until now into slots of one length.
type scale struct {
	first time.Time // the first recording
	start time.Time // of the first slot
	step  time.Duration
	slots int
}

func (s *sums) scale(now time.Time) scale {
	first, last := s.points[0].recorded(), now
	for _, p := range s.points {
		if p.recorded().Before(first) {
			first = p.recorded()
		}
		if p.recorded().After(last) { // by a clock that was wrong
			last = p.recorded()
		}
	}
	_, offset := now.Zone()
	zone := time.Duration(offset) * time.Second
	step := stepFor(last.Sub(first))
	start := first.Add(zone).Truncate(step).Add(-zone)
	slots := int(last.Sub(start)/step) + 1
	if missing := minSlots - slots; missing > 0 {
		start, slots = start.Add(-time.Duration(missing)*step), minSlots
	}
	return scale{first: first, start: start, step: step, slots: slots}
}

// stepFor returns a round length of which maxSlots cover the whole, wherever it begins.
func stepFor(whole time.Duration) time.Duration {
	const day = 24 * time.Hour
	steps := []time.Duration{
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 30 * day,
	}
	for _, step := range steps {
		if whole/step < maxSlots-1 {
			return step
		}
	}
	return whole/(maxSlots-2) + time.Second
}

// x is where a moment lies, in slots.
func (c scale) x(t time.Time) float64 {
	return min(max(float64(t.Sub(c.start))/float64(c.step), 0), float64(c.slots))
}

func (c scale) slot(t time.Time) int { return min(int(c.x(t)), c.slots-1) }

func (c scale) at(x float64) time.Time {
	return c.start.Add(time.Duration(x * float64(c.step)))
}

// tally is what was recorded in a slot, by what became of it.
type tally map[State]int

func (t tally) total() int { return t[Delivered] + t[Pending] + t[Dead] }

func (s *sums) tallies(c scale) []tally {
	list := make([]tally, c.slots)
	for i := range list {
		list[i] = tally{}
	}
	for _, p := range s.points {
		list[c.slot(p.recorded())][p.state()]++
	}
	return list
}

// edge is a moment at which the number of waiting messages changes.
type edge struct {
	at     int64 // Unix milliseconds
	change int
}

func (s *sums) edges() []edge {
	list := make([]edge, 0, len(s.points))
	for _, p := range s.points {
		if p.state() != Pending && p.settled().IsZero() { // nobody knows how long it waited
			continue
		}
		list = append(list, edge{p.recordedAt, 1})
		if !p.settled().IsZero() {
			list = append(list, edge{p.settledAt, -1})
		}
	}
	slices.SortStableFunc(list, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	return list
}

// waiting returns how many messages waited at once, at most, in each part of each slot.
func (s *sums) waiting(c scale) []int {
	most := make([]int, c.slots*perSlot)
	now, part := 0, 0
	for _, e := range s.edges() {
		for to := c.part(time.UnixMilli(e.at)); part < to; {
			part++
			most[part] = now
		}
		now += e.change
		most[part] = max(most[part], now)
	}
	for part++; part < len(most); part++ {
		most[part] = now
	}
	return most
}

func (c scale) part(t time.Time) int { return min(int(c.x(t)*perSlot), c.slots*perSlot-1) }
