package outbox

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func anonymousEvent(properties string) Message {
	id := uuid.NewString()
	return Message{
		Seq: 1, UUID: uuid.NewString(), Kind: Capture, Event: "ran", AnonID: id, DistinctID: id,
		Properties: json.RawMessage(properties), RecordedAt: time.UnixMilli(1_700_000_000_123).UTC(),
	}
}

func wireOf(t *testing.T, m Message) (raw json.RawMessage, decoded map[string]any) {
	t.Helper()
	list, err := WireJSON(context.Background(), []Message{m})
	if err != nil {
		t.Fatal(err)
	}
	if list[0] == nil {
		t.Fatal("the message cannot be sent")
	}
	if err := json.Unmarshal(list[0], &decoded); err != nil {
		t.Fatal(err)
	}
	return list[0], decoded
}

func TestTheProfileSwitchIsOnAnonymousEventsOnly(t *testing.T) {
	anonymous := anonymousEvent(`{}`)
	known := anonymous
	known.DistinctID = "person"
	alias := Message{UUID: uuid.NewString(), Kind: Alias, Event: "$create_alias", AnonID: anonymous.AnonID, DistinctID: "person", RecordedAt: anonymous.RecordedAt}
	for name, test := range map[string]struct {
		m    Message
		want bool
	}{"anonymous": {anonymous, true}, "known": {known, false}, "alias": {alias, false}} {
		_, decoded := wireOf(t, test.m)
		value, there := decoded["properties"].(map[string]any)["$process_person_profile"]
		if there != test.want || there && value != false {
			t.Errorf("%s: the switch is %v (there: %v); on an alias it makes PostHog drop the alias", name, value, there)
		}
	}
}

func TestAnAliasNamesThePrincipalAsTheOneToKeep(t *testing.T) {
	m := Message{UUID: uuid.NewString(), Kind: Alias, Event: "$create_alias", AnonID: "anon", DistinctID: "person", RecordedAt: time.Now()}
	_, decoded := wireOf(t, m)
	properties := decoded["properties"].(map[string]any)
	if decoded["event"] != "$create_alias" || properties["distinct_id"] != "person" || properties["alias"] != "anon" {
		t.Errorf("the alias is %v: the other way round it would rename the person", decoded)
	}
}

func TestNumbersAndTextsSurviveTheWire(t *testing.T) {
	_, decoded := wireOf(t, anonymousEvent(`{"n":12.34,"big":12345678901234567,"text":"<&>\u2028ü\\"}`))
	properties := decoded["properties"].(map[string]any)
	if properties["n"] != 12.34 || properties["text"] != "<&>\u2028ü\\" {
		t.Errorf("the properties arrive as %v", properties)
	}
	if raw, _ := wireOf(t, anonymousEvent(`{"big":12345678901234567}`)); !strings.Contains(string(raw), "12345678901234567") {
		t.Errorf("a large number was rounded: %s", raw)
	}
}

// The bound keeps batches below the size at which posthog-go would split them in two.
func FuzzWireBound(f *testing.F) {
	for _, text := range []string{"", "a", strings.Repeat("<", 1000), strings.Repeat("ü", 1000), "\xff\xfe", "\u2028", strings.Repeat("\x00", 50)} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		properties, err := json.Marshal(map[string]string{name: text})
		if err != nil {
			t.Skip()
		}
		m := anonymousEvent(string(properties))
		m.Event = "e"
		list, err := WireJSON(context.Background(), []Message{m})
		if err != nil {
			t.Skip() // larger than posthog-go takes
		}
		if bound := wireBound(m); len(list[0]) > bound {
			t.Errorf("a message of %d bytes has the bound %d", len(list[0]), bound)
		}
	})
}

// Rows come from a disk: whatever they hold, they are sent or refused, and never panic.
func FuzzWire(f *testing.F) {
	f.Add(uuid.NewString(), "capture", "ran", "anon", "anon", `{"a":1}`)
	f.Add("x", "alias", "$create_alias", "anon", "person", `{}`)
	f.Add(uuid.NewString(), "alias", "$create_alias", "anon", "person", `{"$process_person_profile":false}`)
	f.Add(strings.ToUpper(uuid.NewString()), "capture", "ran", "anon", "person", `{"a":null}`)
	f.Add("", "", "", "", "", `[`)
	f.Fuzz(func(t *testing.T, id, kind, event, anon, distinct, properties string) {
		m := Message{UUID: id, Kind: Kind(kind), Event: event, AnonID: anon, DistinctID: distinct, Properties: []byte(properties)}
		if _, err := wire(m); err != nil {
			return
		}
		list, err := WireJSON(context.Background(), []Message{m})
		if err != nil || len(list) != 1 {
			t.Fatalf("a message that passed the check became %d on the wire: %v", len(list), err)
		}
		var sent struct {
			UUID       string         `json:"uuid"`
			Properties map[string]any `json:"properties"`
		}
		if err := json.Unmarshal(list[0], &sent); err != nil {
			t.Fatalf("on the wire is %q: %v", list[0], err)
		}
		if sent.UUID != id {
			t.Errorf("the message %q went out as %q: a repeat could not be folded", id, sent.UUID)
		}
		if off := sent.Properties["$process_person_profile"] == false; off && m.Kind == Alias || !off && m.Anonymous() {
			t.Errorf("the profile of %s is switched off: %v", list[0], off)
		}
	})
}
