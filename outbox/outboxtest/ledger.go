package outboxtest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Commit is one message that was kept. A message that is sent twice is two commits and one
// event.
type Commit struct {
	Message
	// Token is the project key it was sent with.
	Token string
	// Request is the number of the request that brought it, Seq its place in the batch. Both
	// count from 1.
	Request, Seq int
	// Repeat says that PostHog folds it into an earlier commit.
	Repeat bool
}

// String names the commit in a violation.
func (c Commit) String() string {
	return fmt.Sprintf("%q of %s (request %d, message %d)", c.Event, c.DistinctID, c.Request, c.Seq)
}

// folds says whether PostHog takes the two, which have the same uuid, for one event.
func (c Commit) folds(other Commit) bool {
	day := func(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }
	return c.Event == other.Event && c.DistinctID == other.DistinctID && day(c.Timestamp) == day(other.Timestamp)
}

// ledger is what the server has kept. Its commits are only ever appended.
type ledger struct {
	commits  []Commit
	projects map[string]*project // by token
	aliases  []int               // the first alias of each anon id, as places in commits
}

// project is what belongs to one token. Projects know nothing of each other.
type project struct {
	first   map[uuid.UUID]int   // the first commit of each uuid
	again   map[uuid.UUID][]int // its other commits, which are rare
	persons map[string]*person
}

// person is one distinct id.
type person struct {
	commits []int // places in the ledger
	merged  bool  // it is the anon id of an alias that counts
	alias   int   // the first such alias, if merged
	head    bool  // it is the principal of such an alias
}

func newLedger() ledger { return ledger{projects: map[string]*project{}} }

func (l *ledger) project(token string) *project {
	p := l.projects[token]
	if p == nil {
		p = &project{first: map[uuid.UUID]int{}, again: map[uuid.UUID][]int{}, persons: map[string]*person{}}
		l.projects[token] = p
	}
	return p
}

func (p *project) person(id string) *person {
	who := p.persons[id]
	if who == nil {
		who = &person{}
		p.persons[id] = who
	}
	return who
}

// add appends a commit and returns what is wrong with it.
func (l *ledger) add(c Commit) []string {
	p, at := l.project(c.Token), len(l.commits)
	var wrong []string
	if first, sent := p.first[c.key]; sent {
		wrong = contentChanged(l.commits[first], c)
		c.Repeat = c.folds(l.commits[first]) ||
			slices.ContainsFunc(p.again[c.key], func(i int) bool { return c.folds(l.commits[i]) })
		p.again[c.key] = append(p.again[c.key], at)
	} else {
		p.first[c.key] = at
	}
	who := p.person(c.DistinctID)
	if !c.Repeat {
		wrong = append(wrong, l.judge(p, who, c)...)
	}
	l.commits = append(l.commits, c)
	who.commits = append(who.commits, at)
	return wrong
}

// keep appends a batch to the log, as far as the poison lets it, and tells the watcher.
func (s *Server) keep(b batch, request int) (kept int, no *refusal) {
	s.mu.Lock()
	poison := s.poison
	s.mu.Unlock()
	messages, no := pick(b.messages, poison)

	s.mu.Lock()
	watcher, from := s.watcher, len(s.ledger.commits)
	var wrong []string
	for i, m := range messages {
		wrong = append(wrong, s.ledger.add(Commit{
			Message: m, Token: b.token, Request: request, Seq: i + 1,
		})...)
	}
	commits := s.ledger.commits[from:]
	s.happened()
	s.mu.Unlock()

	for _, c := range commits {
		watcher.committed(c)
	}
	s.violate(wrong...)
	return len(messages), no
}

// contentChanged compares a message that is sent again with what was sent first, byte by
// byte: whatever differs, one of the two was not what had happened.
func contentChanged(first, c Commit) []string {
	if bytes.Equal(first.Raw, c.Raw) {
		return nil
	}
	return []string{fmt.Sprintf("the uuid %s came in request %d and again in request %d with other content: %s",
		c.UUID, first.Request, c.Request, difference(first.Raw, c.Raw))}
}

// difference names the members in which two event objects differ, for a person.
func difference(a, b []byte) string {
	names := differing(a, b, "")
	if len(names) == 0 {
		return "the order or the spacing of its JSON"
	}
	return strings.Join(names, ", ")
}

func differing(a, b []byte, prefix string) []string {
	was, is := object(a), object(b)
	var names []string
	for key, value := range was {
		switch {
		case bytes.Equal(value, is[key]):
		case key == "properties":
			names = append(names, differing(value, is[key], "properties.")...)
		default:
			names = append(names, prefix+key)
		}
	}
	for key := range is {
		if was[key] == nil {
			names = append(names, prefix+key)
		}
	}
	slices.Sort(names)
	return names
}

func object(raw []byte) map[string][]byte {
	all := map[string][]byte{}
	for key, value := range members(raw) {
		all[key] = value
	}
	return all
}
