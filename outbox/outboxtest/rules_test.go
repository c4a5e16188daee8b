package outboxtest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestRules(t *testing.T) {
	const ada, bob = "ada", "bob"
	off := func(message string) string {
		return strings.Replace(message, `"properties":{`, `"properties":{"$process_person_profile":false,`, 1)
	}
	tests := []struct {
		name     string
		requests []string // each is the messages of one
		want     []string // parts of the violations
	}{
		{"the story of a login and a second one breaks no rule", []string{
			join(anonymous(1, "x1", early), alias(2, "x1", ada, noon), event(3, ada, noon)),
			join(event(4, ada, noon), alias(5, "x2", ada, later), event(6, ada, later)),
		}, nil},
		{"two persons may log in one after the other, each with an anon id of its own", []string{
			join(alias(1, "x1", ada, early), event(2, ada, early), alias(3, "x2", bob, noon), event(4, bob, noon)),
		}, nil},
		{"the same batch again is a repeat and no second alias", []string{
			join(alias(1, "x1", ada, noon), event(2, ada, noon)),
			join(alias(1, "x1", ada, noon), event(2, ada, noon)),
		}, nil},
		{"an event of nobody in particular may have its profile on or off", []string{
			join(event(1, "x1", noon), anonymous(2, "x2", noon)),
		}, nil},

		{"an event of a principal before its alias", []string{
			join(event(1, ada, noon), alias(2, "x1", ada, noon)),
		}, []string{`of ada (request 1, message 1) was kept before the alias of x1 to it (request 1, message 2)`}},
		{"a later event of a principal before its alias, in another request", []string{
			event(1, ada, later), alias(2, "x1", ada, noon),
		}, []string{`was kept before the alias of x1 to it (request 2, message 1)`}},
		{"an anon id with two principals", []string{
			join(alias(1, "x1", ada, noon), alias(2, "x1", bob, later)),
		}, []string{`the anon id x1 was aliased to ada in request 1 and to a second principal, bob, in request 1`}},
		{"an anon id aliased twice by two messages", []string{
			alias(1, "x1", ada, noon), alias(2, "x1", ada, later),
		}, []string{`the anon id x1 was aliased twice to ada, in request 1 and in request 2`}},
		{"a principal that becomes an anon id", []string{
			join(alias(1, "x1", ada, noon), alias(2, ada, bob, later)),
		}, []string{`ada is a principal, and request 1 aliased it to bob`}},
		{"an event of such a principal, which is a principal all the same", []string{
			join(alias(1, "x1", ada, noon), alias(2, ada, bob, later), event(3, ada, later)),
		}, []string{`ada is a principal, and request 1 aliased it to bob`}},
		{"an anon id that becomes a principal", []string{
			join(alias(1, "x1", ada, noon), alias(2, "x2", "x1", later)),
		}, []string{`x1 is an anon id that was aliased, and request 1 made it the principal of x2`}},
		{"an alias with its person profile off", []string{
			off(alias(1, "x1", ada, noon)),
		}, []string{`drops the alias of "x1" to "ada" in request 1: it has $process_person_profile false`}},
		{"an alias that names no anon id", []string{
			strings.Replace(alias(1, "x1", ada, noon), `"alias":"x1"`, `"anon":"x1"`, 1),
		}, []string{`it names no alias`}},
		{"an alias of an id to itself", []string{alias(1, ada, ada, noon)}, []string{`merges an id into itself`}},
		{"an anonymous event with its profile on, before its alias", []string{
			join(event(1, "x1", early), alias(2, "x1", ada, noon)),
		}, []string{`of x1 (request 1, message 1) lacks $process_person_profile false`}},
		{"an anonymous event with its profile on, after its alias", []string{
			join(alias(1, "x1", ada, early), event(2, "x1", noon)),
		}, []string{`of x1 (request 1, message 2) lacks $process_person_profile false`}},
		{"a principal's event with its profile off, after its alias", []string{
			join(alias(1, "x1", ada, early), anonymous(2, ada, noon)),
		}, []string{`of ada (request 1, message 2) has $process_person_profile false`}},
		{"a principal's event with its profile off, before an alias", []string{
			join(anonymous(1, ada, early), alias(2, "x1", ada, noon)),
		}, []string{`of ada (request 1, message 1) has $process_person_profile false`}},
		{"a wrong event is reported once, however many aliases follow", []string{
			join(anonymous(1, ada, early), alias(2, "x1", ada, noon), alias(3, "x2", ada, later)),
		}, []string{`of ada (request 1, message 1) has $process_person_profile false`}},

		{"a uuid again with another timestamp", []string{
			event(1, ada, noon), event(1, ada, later),
		}, []string{`the uuid ` + id(1) + ` came in request 1 and again in request 2 with other content: timestamp`}},
		{"a uuid again with another property, event and distinct id", []string{
			event(1, ada, noon),
			strings.NewReplacer("whoami", "login", "succeeded", "failed", ada, bob).Replace(event(1, ada, noon)),
		}, []string{`with other content: distinct_id, event, properties.command_name`}},
		{"a uuid again with a member more", []string{
			event(1, ada, noon), off(event(1, ada, noon)),
		}, []string{`with other content: properties.$process_person_profile`}},
		{"a uuid again with a member less", []string{
			off(event(1, ada, noon)), event(1, ada, noon),
		}, []string{`with other content: properties.$process_person_profile`}},
		{"a uuid again with its bytes in another order", []string{
			event(1, ada, noon), strings.Replace(event(1, ada, noon), `"event"`, ` "event"`, 1),
		}, []string{`with other content: the order or the spacing of its JSON`}},
		{"an event without a uuid", []string{
			strings.Replace(event(1, ada, noon), id(1), "", 1),
		}, []string{`has no uuid, so PostHog cannot fold its repeats`}},
		{"an event without a timestamp", []string{
			strings.Replace(event(1, ada, noon), `"timestamp"`, `"time"`, 1),
		}, []string{`has no timestamp`}},
		{"an event with a timestamp that PostHog may not understand", []string{
			event(1, ada, "yesterday"),
		}, []string{`has the timestamp "yesterday", which is not RFC 3339`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := outboxtest.Start(t)
			var told []string
			s.Watch(outboxtest.Watcher{Violated: func(sentence string) { told = append(told, sentence) }})
			for _, messages := range test.requests {
				post(t, s, messages)
			}
			wantViolations(t, s, test.want...)
			if !slices.Equal(told, s.Violations()) {
				t.Errorf("the watcher was told %q, the list is %q", told, s.Violations())
			}
		})
	}
}

func join(messages ...string) string { return strings.Join(messages, ",") }

func TestIdsThatPostHogRefusesInMergesAreReportedAndNotMerged(t *testing.T) {
	refused := []string{"anonymous", "Guest", "null", "0", "true", "False", "undefined", "None", "NaN",
		"[object Object]", "distinct_id", "distinctId", "email", "id", "not_authenticated", " ", " null ", "'null'", `\"GUEST\"`}
	for _, wrong := range refused {
		t.Run(wrong, func(t *testing.T) {
			s := outboxtest.Start(t)
			post(t, s, strings.Replace(alias(1, "x1", "ada", noon), `"x1"`, `"`+wrong+`"`, 1))
			post(t, s, strings.Replace(alias(2, "x1", "ada", noon), `"ada"`, `"`+wrong+`"`, 1))
			wantViolations(t, s, "is refused in merges", "is refused in merges")
			if got := s.Aliases(); len(got) != 0 {
				t.Errorf("the alias graph is %v; PostHog merges nothing here", got)
			}
		})
	}
	// Some ids are refused in one spelling only.
	for _, fine := range []string{"NULL", "nan", "00", "anonymous1", "'", "user@example.com", "acc_0"} {
		t.Run(fine+" is allowed", func(t *testing.T) {
			s := outboxtest.Start(t)
			post(t, s, alias(1, fine, "ada", noon))
			wantViolations(t, s)
		})
	}
}

func TestTheAliasGraphHasTheFirstAliasOfEachAnonID(t *testing.T) {
	s := outboxtest.Start(t)
	post(t, s, alias(1, "x1", "ada", noon), alias(2, "x1", "bob", later), alias(3, "x2", "ada", later), alias(1, "x1", "ada", noon))
	want := []outboxtest.Alias{{Token: token, Anon: "x1", Principal: "ada"}, {Token: token, Anon: "x2", Principal: "ada"}}
	if got := s.Aliases(); !slices.Equal(got, want) {
		t.Errorf("the graph is %v, want %v", got, want)
	}
}

func TestProjectsShareNothing(t *testing.T) {
	s := outboxtest.Start(t)
	other := strings.Replace(batch(event(1, "ada", later), alias(2, "x1", "bob", noon)), token, "phc_other", 1)
	post(t, s, event(1, "ada", noon), alias(2, "x1", "ada", later))
	if status := serve(s, other); status != 200 {
		t.Fatalf("answered %d", status)
	}
	wantViolations(t, s)
	if got := len(s.Events()); got != 4 {
		t.Errorf("%d events, want 4: the other project's are no repeats of these", got)
	}
}
