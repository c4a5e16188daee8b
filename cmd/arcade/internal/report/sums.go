package report

import (
	"cmp"
	"encoding/json"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// kept is how many of the newest messages are remembered for the list: more than fit on the page.
const kept = 500

// sums is what one pass over all messages collects.
type sums struct {
	points   []point // one for each message
	commands map[string]command
	reasons  map[string]reason
	stints   []stint
	newest   []outbox.Message // in the order of recording, at least the last kept ones
}

// point is when a message was recorded and settled, in Unix milliseconds. Settled is 0 if unknown, and never before
// recorded.
type point struct {
	recorded, settled int64
	state             outbox.State
	alias             bool
}

// command is what is known about the runs of one command.
type command struct {
	failures  int
	durations []float64 // milliseconds, in order
}

// quantile returns the duration of a run: the given share of the runs took no longer.
func (c command) quantile(share float64) float64 {
	return c.durations[max(int(math.Ceil(share*float64(len(c.durations))))-1, 0)]
}

// reason is how often commands failed for one reason, and the last of them.
type reason struct {
	failures int
	command  string
	last     time.Time
}

// stint is a run of events that belong to the same id.
type stint struct {
	id          string
	anonymous   bool
	from, until time.Time // of its first and its last event
	events      int
}

func sum(messages iter.Seq2[outbox.Message, error]) (*sums, error) {
	s := &sums{commands: map[string]command{}, reasons: map[string]reason{}}
	for m, err := range messages {
		if err != nil {
			return nil, err
		}
		s.add(m)
	}
	for _, c := range s.commands {
		slices.Sort(c.durations)
	}
	return s, nil
}

func (s *sums) add(m outbox.Message) {
	if m.State != outbox.Delivered && m.State != outbox.Dead { // a damaged row may say anything
		m.State = outbox.Pending
	}
	p := point{recorded: m.RecordedAt.UnixMilli(), state: m.State, alias: m.Kind == outbox.Alias}
	if !m.SettledAt.IsZero() {
		p.settled = max(m.SettledAt.UnixMilli(), p.recorded) // the clock may have been put back in between
	}
	s.points = append(s.points, p)
	if s.newest = append(s.newest, m); len(s.newest) == 2*kept {
		s.newest = slices.Clone(s.newest[kept:])
	}
	if p.alias {
		return
	}
	run := properties(m)
	c := s.commands[run.CommandName]
	c.durations = append(c.durations, run.Duration)
	if m.Event == track.Failed {
		c.failures++
		failures := s.reasons[run.ErrorMessage].failures + 1
		s.reasons[run.ErrorMessage] = reason{failures, run.CommandName, m.RecordedAt}
	}
	s.commands[run.CommandName] = c
	last := len(s.stints) - 1
	if last < 0 || s.stints[last].id != m.DistinctID {
		s.stints = append(s.stints, stint{id: m.DistinctID, anonymous: m.Anonymous(), from: m.RecordedAt})
		last++
	}
	s.stints[last].until = m.RecordedAt
	s.stints[last].events++
}

// properties are those of an event; if it is damaged, those that can be read.
func properties(m outbox.Message) track.Properties {
	p := track.Properties{CommandName: "?"}
	_ = json.Unmarshal(m.Properties, &p)
	return p
}

// mostFirst returns the keys of a map, the one with the highest count first.
func mostFirst[T any](of map[string]T, count func(T) int) []string {
	return slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		return cmp.Or(cmp.Compare(count(of[b]), count(of[a])), cmp.Compare(a, b))
	})
}

// gap is a stretch of time in which events waited and none was delivered.
type gap struct {
	from, until time.Time
	messages    int    // delivered at its end, or still waiting
	reason      string // of the present gap only
}

// patience is the longest wait that is not a gap: the first back-offs are shorter.
const patience = 5 * time.Minute

// gaps finds them by the receipts: events that were delivered together waited since the first
// of them was recorded, or since the delivery before. Aliases do not count: one may wait for an
// answer while events go out.
func (s *sums) gaps(snapshot track.Snapshot, now time.Time) (list []gap) {
	first, events := map[int64]int64{}, map[int64]int{} // of each delivery, by its time
	for _, p := range s.points {
		if p.state == outbox.Delivered && !p.alias && p.settled != 0 {
			if events[p.settled]++; events[p.settled] == 1 || p.recorded < first[p.settled] {
				first[p.settled] = p.recorded
			}
		}
	}
	before := int64(math.MinInt64)
	for _, settled := range slices.Sorted(maps.Keys(first)) {
		g := gap{from: time.UnixMilli(max(first[settled], before)), until: time.UnixMilli(settled), messages: events[settled]}
		if g.until.Sub(g.from) > patience {
			list = append(list, g)
		}
		before = settled
	}
	schedule, pending := snapshot.Schedule, snapshot.Counts.Pending
	if failing := schedule.FailingSince; pending > 0 && !failing.IsZero() && failing.Before(now) {
		list = append(list, gap{failing, now, pending, schedule.LastError})
	}
	return list
}
