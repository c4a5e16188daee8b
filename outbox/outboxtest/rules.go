package outboxtest

import "fmt"

// Alias is an edge of the alias graph: Anon was merged into Principal.
type Alias struct {
	Token, Anon, Principal string
}

// judge returns what is wrong with a message that was never kept before. It is called
// before the message is in the log.
func (l *ledger) judge(p *project, owner *person, c Commit) []string {
	var wrong []string
	for _, flaw := range c.flaws {
		wrong = append(wrong, fmt.Sprintf("%v %s", c, flaw))
	}
	if c.IsAlias() {
		return append(wrong, l.judgeAlias(p.person(c.Alias), owner, c)...)
	}
	return append(wrong, judgeProfile(owner, c)...)
}

// judgeProfile compares an event's person profile with what the alias graph knows of its
// owner: the profile is on for a principal and off for an anon id. Of an id that is in no
// alias nothing can be said.
func judgeProfile(owner *person, c Commit) []string {
	switch {
	case owner.head && c.personless:
		return []string{fmt.Sprintf("%v has $process_person_profile false, but its owner is a principal", c)}
	case owner.merged && !owner.head && !c.personless:
		return []string{fmt.Sprintf("%v lacks $process_person_profile false, but its owner is an anon id", c)}
	}
	return nil
}

// judgeAlias enters an alias into the graph, unless PostHog drops it, and returns what is
// wrong with it or becomes wrong by it.
func (l *ledger) judgeAlias(anon, principal *person, c Commit) []string {
	if reason := dropped(c); reason != "" {
		return []string{fmt.Sprintf("PostHog drops the alias of %q to %q in request %d: %s",
			c.Alias, c.DistinctID, c.Request, reason)}
	}
	wrong := l.judgeMerge(anon, principal, c)
	if at := len(l.commits); !anon.merged {
		anon.merged, anon.alias = true, at
		l.aliases = append(l.aliases, at)
	}
	principal.head = true
	for _, at := range anon.commits {
		if earlier := l.commits[at]; !earlier.IsAlias() {
			wrong = append(wrong, judgeProfile(anon, earlier)...)
		}
	}
	return append(wrong, l.judgeOrder(principal, c)...)
}

// dropped says why PostHog ignores an alias that it has accepted.
func dropped(c Commit) string {
	switch {
	case c.personless:
		return "it has $process_person_profile false"
	case c.Alias == "":
		return "it names no alias"
	case c.Alias == c.DistinctID:
		return "it merges an id into itself"
	case refusedInMerges(c.Alias):
		return fmt.Sprintf("the id %q is refused in merges", c.Alias)
	case refusedInMerges(c.DistinctID):
		return fmt.Sprintf("the id %q is refused in merges", c.DistinctID)
	}
	return ""
}

// judgeMerge finds merges that cannot be undone: a second alias of one anon id, and a chain,
// in which a principal becomes the anon id of another.
func (l *ledger) judgeMerge(anon, principal *person, c Commit) []string {
	var wrong []string
	if anon.merged {
		first := l.commits[anon.alias]
		if first.DistinctID == c.DistinctID {
			wrong = append(wrong, fmt.Sprintf("the anon id %s was aliased twice to %s, in request %d and in request %d",
				c.Alias, c.DistinctID, first.Request, c.Request))
		} else {
			wrong = append(wrong, fmt.Sprintf("the anon id %s was aliased to %s in request %d and to a second principal, %s, in request %d",
				c.Alias, first.DistinctID, first.Request, c.DistinctID, c.Request))
		}
	}
	if anon.head {
		wrong = append(wrong, fmt.Sprintf("%s is a principal, and request %d aliased it to %s", c.Alias, c.Request, c.DistinctID))
	}
	if principal.merged {
		wrong = append(wrong, fmt.Sprintf("%s is an anon id that was aliased, and request %d made it the principal of %s",
			c.DistinctID, c.Request, c.Alias))
	}
	return wrong
}

// judgeOrder looks at the events of a principal that were kept before this alias to it. One
// that happened with the alias or after it had to wait for it; an older one is from an
// earlier login and in its place. Their profiles are judged now, too.
func (l *ledger) judgeOrder(principal *person, alias Commit) []string {
	var wrong []string
	for _, at := range principal.commits {
		c := l.commits[at]
		if c.Repeat || c.IsAlias() {
			continue
		}
		if !c.Timestamp.Before(alias.Timestamp) {
			wrong = append(wrong, fmt.Sprintf("%v was kept before the alias of %s to it (request %d, message %d)",
				c, alias.Alias, alias.Request, alias.Seq))
		}
		wrong = append(wrong, judgeProfile(principal, c)...)
	}
	return wrong
}

// graph lists the aliases that count, in the order in which they were kept.
func (l *ledger) graph() []Alias {
	var graph []Alias
	for _, at := range l.aliases {
		c := l.commits[at]
		graph = append(graph, Alias{Token: c.Token, Anon: c.Alias, Principal: c.DistinctID})
	}
	return graph
}
