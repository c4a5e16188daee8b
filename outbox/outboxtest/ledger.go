package outboxtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Message is one event of a request as PostHog understands it.
type Message struct {
	UUID       string // in the usual lower-case form
	Event      string // $create_alias for an alias
	DistinctID string // whom the event belongs to; of an alias the principal, the id that is kept
	Alias      string // of an alias, the anon id that it merges into DistinctID
	Timestamp  time.Time
	Raw        json.RawMessage // the event byte by byte as it was sent; it must not be changed

	personless bool // its person profile is switched off
	timeless   bool // PostHog may give it another time
}

// IsAlias says whether the message is an alias and no event.
func (m Message) IsAlias() bool { return m.Event == "$create_alias" }

// Properties returns the event's properties, decoded anew by each call, numbers as float64.
func (m Message) Properties() map[string]any {
	event := struct {
		Properties map[string]any `json:"properties"`
	}{map[string]any{}}
	_ = json.Unmarshal(m.Raw, &event) // it was read on arrival
	return event.Properties
}

// Commit is one message that was kept. A message that is sent twice is two commits and one event.
type Commit struct {
	Message
	Request, Seq int  // the number of the request that brought it and its place there, from 1
	Repeat       bool // PostHog folds it into an earlier commit
}

// String names the commit in a violation.
func (c Commit) String() string {
	return fmt.Sprintf("%q of %s (request %d, message %d)", c.Event, c.DistinctID, c.Request, c.Seq)
}

// folds says whether PostHog takes the two, which have the same uuid, for one event.
func (c Commit) folds(other Commit) bool {
	return c.Event == other.Event && c.DistinctID == other.DistinctID &&
		c.Timestamp.Format(time.DateOnly) == other.Timestamp.Format(time.DateOnly)
}

// isNoAlias says whether PostHog drops an alias that it has accepted.
func (c Commit) isNoAlias() bool { return c.personless || c.Alias == "" || c.Alias == c.DistinctID }

// ledger is what the server has kept. Its commits are only ever appended.
type ledger struct {
	commits []Commit
	sent    map[string][]int // by uuid, as places in commits
	persons map[string]*person
}

// person is one distinct id.
type person struct {
	commits []int   // places in the ledger
	merged  *Commit // the first alias that counts of which it is the anon id
	head    bool    // it is the principal of such an alias
}

func (l *ledger) person(id string) *person {
	if l.persons[id] == nil {
		l.persons[id] = &person{}
	}
	return l.persons[id]
}

// add appends commits, notes which are repeats, and returns what is wrong with them, or becomes wrong by
// them.
func (l *ledger) add(commits []Commit) (wrong []string) {
	for i := range commits {
		c, at := &commits[i], len(l.commits)
		owner, sent := l.person(c.DistinctID), l.sent[c.UUID]
		if len(sent) > 0 && !bytes.Equal(l.commits[sent[0]].Raw, c.Raw) { // one of the two was not what had happened
			wrong = append(wrong, fmt.Sprintf("the uuid %s came in request %d and again in request %d with other content: %s, %s",
				c.UUID, l.commits[sent[0]].Request, c.Request, l.commits[sent[0]].Raw, c.Raw))
		}
		c.Repeat = slices.ContainsFunc(sent, func(i int) bool { return c.folds(l.commits[i]) })
		switch {
		case c.Repeat:
		case c.IsAlias():
			wrong = append(wrong, l.judgeAlias(l.person(c.Alias), owner, *c)...)
		default:
			wrong = append(wrong, judgeProfile(owner, *c)...)
		}
		if c.timeless {
			wrong = append(wrong, fmt.Sprintf("%v lacks disable_skew_correction, so PostHog may give it another time", c))
		}
		l.commits = append(l.commits, *c)
		l.sent[c.UUID], owner.commits = append(sent, at), append(owner.commits, at)
	}
	return wrong
}

// judgeProfile compares an event's person profile with what the alias graph knows of its owner: the
// profile is on for a principal and off for an anon id. Of an id that is in no alias nothing can be said.
func judgeProfile(owner *person, c Commit) []string {
	switch {
	case owner.head && c.personless:
		return []string{fmt.Sprintf("%v has its person profile switched off, but its owner is a principal", c)}
	case owner.merged != nil && !owner.head && !c.personless:
		return []string{fmt.Sprintf("%v has its person profile switched on, but its owner is an anon id", c)}
	}
	return nil
}

// judgeAlias enters an alias into the graph, unless PostHog drops it. The events of both that were kept
// before are judged now: an event of the principal that happened with the alias or after it had to wait
// for it. An older one is from an earlier login and in its place.
func (l *ledger) judgeAlias(anon, principal *person, c Commit) (wrong []string) {
	if c.isNoAlias() {
		return []string{fmt.Sprintf("PostHog drops the alias of %q to %q in request %d", c.Alias, c.DistinctID, c.Request)}
	}
	// Merges that cannot be undone: a second alias of one anon id, and a chain.
	if first := anon.merged; first != nil {
		wrong = append(wrong, fmt.Sprintf("the anon id %s was aliased to %s in request %d and again, to %s, in request %d",
			c.Alias, first.DistinctID, first.Request, c.DistinctID, c.Request))
	}
	if anon.head {
		wrong = append(wrong, fmt.Sprintf("%s is a principal, and request %d aliased it to %s", c.Alias, c.Request, c.DistinctID))
	}
	if principal.merged != nil {
		wrong = append(wrong, fmt.Sprintf("%s is an anon id that was aliased, and request %d made it the principal of %s",
			c.DistinctID, c.Request, c.Alias))
	}
	anon.merged, principal.head = cmp.Or(anon.merged, &c), true
	for _, owner := range []*person{anon, principal} {
		for _, at := range owner.commits {
			earlier := l.commits[at]
			if earlier.IsAlias() || earlier.Repeat {
				continue
			}
			if owner == principal && !earlier.Timestamp.Before(c.Timestamp) {
				wrong = append(wrong, fmt.Sprintf("%v was kept before the alias of %s to it (request %d, message %d)",
					earlier, c.Alias, c.Request, c.Seq))
			}
			wrong = append(wrong, judgeProfile(owner, earlier)...)
		}
	}
	return wrong
}
