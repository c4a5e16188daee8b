package report

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// kept is how many of the newest messages are remembered to be shown: more than fit into Limit.
const kept = 500

// sums is what is found out about all messages in one pass.
type sums struct {
	total    int
	points   []point
	commands map[string]*command
	stints   []stint
	newest   []Message // in the order of recording, at least the last kept ones
}

// point is when a message was recorded and settled, in Unix milliseconds: there is one for each message.
type point struct {
	recordedAt, settledAt int64
	delivered, dead       bool
	alias                 bool
}

func (p point) state() State {
	switch {
	case p.delivered:
		return Delivered
	case p.dead:
		return Dead
	default:
		return Pending
	}
}

func (p point) recorded() time.Time { return time.UnixMilli(p.recordedAt).UTC() }

// settled is zero while it waits.
func (p point) settled() time.Time { return time.UnixMilli(p.settledAt).UTC() }

// command is what is known about the runs of one command.
type command struct {
	name      string
	failures  int
	durations []time.Duration
}

// stint is a stretch of messages that belong to the same one.
type stint struct {
	who         string
	anonymous   bool
	from, until time.Time // of its first and its last message
	messages    int
}

func add(data Data) (*sums, error) {
	s := &sums{commands: map[string]*command{}}
	for m, err := range data.Messages {
		if err != nil {
			return nil, err
		}
		s.add(m)
	}
	return s, nil
}

func (s *sums) add(m Message) {
	m.State = known(m.State)
	s.total++
	s.points = append(s.points, point{m.RecordedAt.UnixMilli(), m.SettledAt.UnixMilli(), m.State == Delivered, m.State == Dead, m.Alias})
	if !m.Alias {
		s.count(m)
		s.assign(m)
	}
	if s.newest = append(s.newest, m); len(s.newest) == 2*kept {
		s.newest = append([]Message(nil), s.newest[kept:]...)
	}
}

// known keeps a state that a damaged row may have from being anything but a word.
func known(s State) State {
	switch s {
	case Delivered, Dead:
		return s
	default:
		return Pending
	}
}

func (s *sums) count(m Message) {
	c := s.commands[m.Command]
	if c == nil {
		c = &command{name: m.Command}
		s.commands[m.Command] = c
	}
	c.durations = append(c.durations, m.Duration)
	if m.Failed {
		c.failures++
	}
}

func (s *sums) assign(m Message) {
	last := len(s.stints) - 1
	if last < 0 || s.stints[last].who != m.Who {
		s.stints = append(s.stints, stint{who: m.Who, anonymous: m.Anonymous, from: m.RecordedAt})
		last++
	}
	s.stints[last].until = m.RecordedAt
	s.stints[last].messages++
}

// byRuns returns the commands, those that ran most first, with their durations in order.
func (s *sums) byRuns() (list []*command) {
	for _, c := range s.commands {
		slices.Sort(c.durations)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *command) int {
		return cmp.Or(cmp.Compare(len(b.durations), len(a.durations)), cmp.Compare(a.name, b.name))
	})
	return list
}

// quantile returns a duration that really was: the given share of the runs took no longer.
func (c *command) quantile(share float64) time.Duration {
	at := int(math.Ceil(share*float64(len(c.durations)))) - 1
	return c.durations[max(at, 0)]
}

// gap is a stretch of time in which events waited and none was delivered.
type gap struct {
	from, until time.Time
	events      int    // that were delivered at its end, or wait still
	reason      string // known of the present one only
	open        bool
}

// patience is how long an event may wait before that counts as a gap: the first back-offs are
// shorter.
const patience = 5 * time.Minute

// gaps finds them by the receipts: events that were delivered together waited since the first
// of them was recorded, or since the delivery before.
func (s *sums) gaps(data Data) (list []gap) {
	before := time.Time{}
	for _, delivery := range s.deliveries() {
		from := delivery.first
		if from.Before(before) {
			from = before
		}
		if delivery.at.Sub(from) > patience {
			list = append(list, gap{from: from, until: delivery.at, events: delivery.events})
		}
		before = delivery.at
	}
	if !data.FailingSince.IsZero() && data.Counts.Pending > 0 {
		list = append(list, gap{data.FailingSince, data.Now, data.Counts.Pending, data.LastError, true})
	}
	return list
}

// delivery is what was settled at one moment.
type delivery struct {
	at, first time.Time // first: the oldest recording
	events    int
}

// deliveries leaves aliases out: one may wait for an answer while events go out.
func (s *sums) deliveries() (list []delivery) {
	at := map[int64]int{}
	for _, p := range s.points {
		if p.state() != Delivered || p.alias || p.settled().IsZero() {
			continue
		}
		i, known := at[p.settledAt]
		if !known {
			i = len(list)
			at[p.settledAt] = i
			list = append(list, delivery{at: p.settled(), first: p.recorded()})
		}
		list[i].events++
		if p.recorded().Before(list[i].first) {
			list[i].first = p.recorded()
		}
	}
	slices.SortFunc(list, func(a, b delivery) int { return a.at.Compare(b.at) })
	return list
}
