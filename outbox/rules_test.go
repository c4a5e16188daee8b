package outbox

import (
	"strings"
	"testing"
	"time"
)

func TestWhatAMessageLeavesOutIsFilledIn(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	m, err := Message{Event: "ran", AnonID: "anon"}.complete(now)
	isFilled := m.Kind == Capture && isPlainUUID(m.UUID) && string(m.Properties) == `{}` && m.RecordedAt.Equal(now) && m.DistinctID == "anon"
	if err != nil || !isFilled {
		t.Errorf("completed to %+v, %v; want a capture of its anon id, now, with a uuid and no properties", m, err)
	}
}

func TestAMessageThatNoSinkCouldSendIsAnErrorWhenItIsAdded(t *testing.T) {
	year := func(n int) time.Time { return time.Date(n, 12, 31, 0, 0, 0, 0, time.UTC) }
	good := Message{Event: "ran", AnonID: "anon"}
	for want, change := range map[string]func(m *Message){
		"kind":            func(m *Message) { m.Kind = "other" },
		"uuid":            func(m *Message) { m.UUID = "x" },
		"lower-case":      func(m *Message) { m.UUID = "0190A0A0-0000-7000-8000-00000000000B" },
		"five groups":     func(m *Message) { m.UUID = "{0190a0a0-0000-7000-8000-00000000000b}" },
		"no event":        func(m *Message) { m.Event = "" },
		"nobody":          func(m *Message) { m.AnonID = "" },
		"is held":         func(m *Message) { m.DistinctID, m.Hold = "person", "name" },
		"time":            func(m *Message) { m.RecordedAt = year(10_000) },
		"not valid":       func(m *Message) { m.RecordedAt = year(-1) },
		"not a JSON":      func(m *Message) { m.Properties = []byte(`[1]`) },
		"a JSON object":   func(m *Message) { m.Properties = []byte(`{"a":`) },
		"properties are ": func(m *Message) { m.Properties = []byte(`null`) },
	} {
		m := good
		change(&m)
		_, err := m.complete(time.Now())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v gives the error %v, want one that says %q: it would wait, and be found dead later", m, err, want)
		}
	}
	for _, n := range []int{0, 9999} {
		if _, err := (Message{Event: "ran", AnonID: "anon", RecordedAt: year(n)}).complete(time.Now()); err != nil {
			t.Errorf("the year %d gives %v, want none: it can be sent", n, err)
		}
	}
}

func TestAHeldMessageHasNoDistinctIDYet(t *testing.T) {
	for name, m := range map[string]Message{
		"an event under a name":   {Event: "ran", AnonID: "anon", Hold: "credential"},
		"an alias without a name": {Kind: Alias, Event: "$create_alias", AnonID: "anon"},
		"an alias under a name":   {Kind: Alias, Event: "$create_alias", AnonID: "anon", Hold: "credential"},
	} {
		m, err := m.complete(time.Now())
		if err != nil || m.DistinctID != "" {
			t.Errorf("%s becomes %+v, %v; want it to wait for its distinct id", name, m, err)
		}
	}
}
