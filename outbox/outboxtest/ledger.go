package outboxtest

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	event := struct{ Properties map[string]any }{map[string]any{}}
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

// folds says whether PostHog takes the two for one event.
func (c Commit) folds(other Commit) bool {
	return c.UUID == other.UUID && c.Event == other.Event && c.DistinctID == other.DistinctID &&
		c.Timestamp.Format(time.DateOnly) == other.Timestamp.Format(time.DateOnly)
}

// judge returns what a sender must never do and what the commits show.
func judge(commits []Commit) (wrong []string) {
	blame := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	sent := map[string]Commit{}     // the first of each uuid
	events := map[string][]Commit{} // by distinct id, until now
	merged := map[string]Commit{}   // the first alias of each anon id
	principals := map[string]bool{}
	for _, c := range commits {
		if first, again := sent[c.UUID]; !again {
			sent[c.UUID] = c
		} else if !bytes.Equal(first.Raw, c.Raw) { // one of the two was not what had happened
			blame("the uuid %s came in requests %d and %d with other content: %s, %s", c.UUID, first.Request, c.Request, first.Raw, c.Raw)
		}
		if c.timeless {
			blame("%v lacks disable_skew_correction, so PostHog may give it another time", c)
		}
		switch {
		case c.Repeat:
		case !c.IsAlias():
			events[c.DistinctID] = append(events[c.DistinctID], c)
		case c.personless || c.Alias == "" || c.Alias == c.DistinctID:
			blame("PostHog drops the alias of %q to %q in request %d", c.Alias, c.DistinctID, c.Request)
		default:
			first, again := merged[c.Alias]
			if !again {
				merged[c.Alias] = c
			} else { // a merge that cannot be undone
				blame("the anon id %s was aliased to %s in request %d and again, to %s, in request %d",
					c.Alias, first.DistinctID, first.Request, c.DistinctID, c.Request)
			}
			principals[c.DistinctID] = true
			for _, e := range events[c.DistinctID] { // an older one is from an earlier login and in its place
				if !e.Timestamp.Before(c.Timestamp) {
					blame("%v was kept before the alias of %s to it (request %d, message %d)", e, c.Alias, c.Request, c.Seq)
				}
			}
		}
	}
	// What an id is may be known from a later alias only. Of an id that is in no alias nothing can be said.
	for _, c := range commits {
		_, isAnon := merged[c.DistinctID]
		switch isPrincipal := principals[c.DistinctID]; {
		case c.Repeat:
		case c.IsAlias() && principals[c.Alias]:
			blame("%s is a principal, and request %d aliased it to %s", c.Alias, c.Request, c.DistinctID)
		case c.IsAlias():
		case isPrincipal && c.personless:
			blame("%v has its person profile switched off, but its owner is a principal", c)
		case isAnon && !isPrincipal && !c.personless:
			blame("%v has its person profile switched on, but its owner is an anon id", c)
		}
	}
	return wrong
}
