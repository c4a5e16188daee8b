package outbox

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// TestTheMachinesOfAnOutageDoNotComeBackAsOne simulates what one laptop cannot show: 20,000
// installations behind an hour in which PostHog answers nobody. Commands come at random, a
// flusher is only ever started by a command, and back-off and jitter are the real ones.
func TestTheMachinesOfAnOutageDoNotComeBackAsOne(t *testing.T) {
	path, n := os.Getenv("OUTBOX_PICTURE"), 20_000
	if path != "" {
		n = 100_000
	}
	s := simulate(n, rand.New(rand.NewPCG(3, 4)).Float64)
	steady := s.rate(s.start, s.down)
	refused := s.rate(s.up.Add(-15*time.Minute), s.up)
	peak, at := s.peak(s.up, s.end)
	t.Logf("steady: %.0f requests a second", steady)
	t.Logf("last quarter of the outage: %.0f requests a second, %.2f of the steady rate", refused, refused/steady)
	t.Logf("after recovery: at most %.0f requests a second, %.2f of the steady rate, after %s", peak, peak/steady, at.Sub(s.up))
	for _, share := range []int{50, 90, 99} {
		t.Logf("%d %% of what was recorded in the outage is delivered after %s", share, s.deliveredAfter(share))
	}
	if path != "" {
		plain := simulate(n, func() float64 { return 0.5 }) // the same wait on average, and the same commands
		peak, at := plain.peak(plain.up, plain.end)
		t.Logf("without jitter: at most %.0f requests a second, %.2f of the steady rate, after %s", peak, peak/steady, at.Sub(plain.up))
		if err := os.WriteFile(path, picture(s, plain), 0o644); err != nil {
			t.Error(err)
		}
	}
	if refused > steady/2 {
		t.Errorf("PostHog gets %.0f requests a second while it is down, want the back-off to halve the %.0f of before", refused, steady)
	}
	if peak > 1.2*steady {
		t.Errorf("after the outage %.0f requests a second come, want no crowd: %.0f are usual", peak, steady)
	}
	if late := s.deliveredAfter(99); late > time.Hour {
		t.Errorf("99 %% are delivered %s after the outage, want it within an hour: commands come that often", late)
	}
}

// habits are how often the installations run a command, on average: of ten, two are an agent's
// or a script's, five a person's at work, three a person's who needs it now and then.
var habits = []time.Duration{
	time.Minute, time.Minute,
	10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute, 10 * time.Minute,
	time.Hour, time.Hour, time.Hour,
}

// simulate lets n installations live through the outage.
func simulate(n int, jitter func() float64) *simulation {
	s := newSimulation()
	s.jitter = jitter
	for i := range n {
		s.live(habits[i%len(habits)])
	}
	return s
}

// simulation is a PostHog that is down from down to up, and what it sees.
type simulation struct {
	random               *rand.Rand // of the commands
	jitter               func() float64
	start, down, up, end time.Time
	requests             []int           // by window since start
	recorded             int             // messages of the outage
	delays               []time.Duration // from up to the delivery of each message of the outage
}

// window is the time over which requests are counted.
const window = 10 * time.Second

func newSimulation() *simulation {
	start := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	s := &simulation{random: rand.New(rand.NewPCG(1, 2)), start: start}
	s.down = s.start.Add(time.Hour)
	s.up = s.down.Add(time.Hour)
	s.end = s.up.Add(3 * time.Hour)
	s.requests = make([]int, s.end.Sub(s.start)/window+1)
	return s
}

// installation is one machine's outbox.
type installation struct {
	schedule Schedule
	pending  []time.Time // when they were recorded
	flushAt  time.Time   // when the flusher at work will send; zero: there is none
}

// live runs the commands of one installation from start to end.
func (s *simulation) live(every time.Duration) {
	const patience = 8 * time.Second // for how long the detached flusher sits out a back-off
	var m installation
	for now := s.after(s.start, every); now.Before(s.end); now = s.after(now, every) {
		if !m.flushAt.IsZero() && m.flushAt.Before(now) {
			s.flush(&m)
		}
		m.pending = append(m.pending, now)
		if s.isDown(now) {
			s.recorded++
		}
		if !m.flushAt.IsZero() {
			continue
		}
		switch next := m.schedule.Next(now); {
		case next.IsZero():
			m.flushAt = now
			s.flush(&m)
		case next.Sub(now) <= patience:
			m.flushAt = next
		}
	}
}

func (s *simulation) after(now time.Time, every time.Duration) time.Time {
	return now.Add(time.Duration(s.random.ExpFloat64() * float64(every)))
}

func (s *simulation) isDown(at time.Time) bool { return !at.Before(s.down) && at.Before(s.up) }

// flush sends everything in one request.
func (s *simulation) flush(m *installation) {
	at := m.flushAt
	m.flushAt = time.Time{}
	if at.After(s.end) {
		return
	}
	s.requests[at.Sub(s.start)/window]++
	if s.isDown(at) {
		m.schedule.Failures++
		m.schedule.NotBefore = at.Add(backOff(m.schedule.Failures, s.jitter()))
		return
	}
	for _, recorded := range m.pending {
		if s.isDown(recorded) {
			s.delays = append(s.delays, at.Sub(s.up))
		}
	}
	m.schedule, m.pending = Schedule{}, m.pending[:0]
}

// rate returns the average of requests a second.
func (s *simulation) rate(from, to time.Time) float64 {
	total := 0
	for _, n := range s.requests[from.Sub(s.start)/window : to.Sub(s.start)/window] {
		total += n
	}
	return float64(total) / to.Sub(from).Seconds()
}

// peak returns the busiest window's rate and its begin.
func (s *simulation) peak(from, to time.Time) (rate float64, at time.Time) {
	first := int(from.Sub(s.start) / window)
	windows := s.requests[first : to.Sub(s.start)/window]
	most := slices.Max(windows)
	at = from.Add(time.Duration(slices.Index(windows, most)) * window)
	return float64(most) / window.Seconds(), at
}

// deliveredAfter returns when, after the outage, a share of all that was recorded in it, in
// percent, had been delivered.
func (s *simulation) deliveredAfter(share int) time.Duration {
	slices.Sort(s.delays)
	if at := s.recorded * share / 100; at < len(s.delays) {
		return s.delays[at].Round(time.Second)
	}
	return s.end.Sub(s.up)
}

// picture draws the requests a second that PostHog sees, each minute's average: with jitter, and
// without. OUTBOX_PICTURE names the file that the test writes it to.
func picture(with, without *simulation) []byte {
	const width, height, left, top, bottom = 720, 300, 50, 20, 260
	top1 := 0.0 // requests a second at the top of the picture
	for at := with.start; at.Before(with.end); at = at.Add(time.Minute) {
		top1 = max(top1, with.rate(at, at.Add(time.Minute)), without.rate(at, at.Add(time.Minute)))
	}
	x := func(at time.Time) float64 {
		return left + float64(at.Sub(with.start))/float64(with.end.Sub(with.start))*(width-left-20)
	}
	y := func(rate float64) float64 { return bottom - rate/top1*(bottom-top) }
	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintln(&svg, `<title>Requests a second of 100,000 installations before, during and after an outage of an hour</title>`)
	fmt.Fprintf(&svg, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&svg, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#eeeeee"/>`+"\n", x(with.down), top, x(with.up)-x(with.down), bottom-top)
	fmt.Fprintf(&svg, `<text x="%.1f" y="%d">no answer</text>`+"\n", x(with.down)+8, top+14)
	fmt.Fprintf(&svg, `<text x="%d" y="%d">requests a second</text>`+"\n", left, top-8)
	for rate := 0.0; rate <= top1; rate += 100 {
		fmt.Fprintf(&svg, `<path d="M%d %.1fH%d" stroke="#cccccc"/><text x="%d" y="%.1f" text-anchor="end">%.0f</text>`+"\n", left, y(rate), width-20, left-6, y(rate)+4, rate)
	}
	for at := with.start; !at.After(with.end); at = at.Add(time.Hour) {
		fmt.Fprintf(&svg, `<text x="%.1f" y="%d" text-anchor="middle">%.0f h</text>`+"\n", x(at), bottom+18, at.Sub(with.start).Hours())
	}
	for _, curve := range []struct {
		s            *simulation
		name, colour string
		dy           int
	}{{without, "without jitter", "#d95f02", 34}, {with, "with jitter", "#1b6ca8", 18}} {
		fmt.Fprintf(&svg, `<polyline fill="none" stroke="%s" points="`, curve.colour)
		for at := with.start; at.Before(with.end); at = at.Add(time.Minute) {
			fmt.Fprintf(&svg, "%.1f,%.1f ", x(at), y(curve.s.rate(at, at.Add(time.Minute))))
		}
		fmt.Fprintf(&svg, `"/><text x="%d" y="%d" fill="%s">%s</text>`+"\n", width-130, bottom-curve.dy, curve.colour, curve.name)
	}
	fmt.Fprintln(&svg, `</svg>`)
	return svg.Bytes()
}
