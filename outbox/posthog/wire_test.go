package posthog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

const aUUID = "0190a3c0-0000-7000-8000-000000000001"

// event1 is an anonymous event.
func event1(properties string) outbox.Message {
	return outbox.Message{
		Seq: 1, UUID: aUUID, Kind: outbox.Capture, Event: "ran", AnonID: "anon", DistinctID: "anon",
		Properties: json.RawMessage(properties), RecordedAt: time.UnixMilli(1_700_000_000_123).UTC(),
	}
}

func alias1() outbox.Message {
	return outbox.Message{
		UUID: aUUID, Kind: outbox.Alias, Event: "$create_alias", AnonID: "anon", DistinctID: "person",
		RecordedAt: time.UnixMilli(1_700_000_000_000).In(time.FixedZone("", 7200)),
	}
}

// tricky is one of each kind of message, and what encoders like to disagree about.
func tricky() []outbox.Message {
	known := event1(`{"n":12.340,"big":12345678901234567890,"e":1E+2,"t":true,"z":null,"list":[1, 2,{"b":1, "a":2}]}`)
	known.Event, known.DistinctID = strings.Repeat("e", 200), strings.Repeat("p", 200) // the longest
	loud := event1(`{"text":"<&>ü\\\" \/ é"}`)
	loud.Event, loud.AnonID, loud.DistinctID = "<&>\u2028ü\\\"\t\x00\x7f", "a<b", "a<b"
	stranger := alias1()
	stranger.AnonID, stranger.Event = "ü<\"\u2028", "$renamed"
	special := event1(`{"$session_id":"s","$window_id":"w","$cookieless_mode":true,"$product_tour_id":"7","$ignore_sent_at":false,` +
		`"$process_person_profile":false}`)
	special.DistinctID = "person"
	messages := []outbox.Message{
		event1(`{}`), known, alias1(), loud, stranger, special,
		event1(` { "b" : 1 , "a" : "x" , "$lib":"mine", "$process_person_profile":true, "a":"twice" } `),
		event1(`{"<":1,"\u003c":2,"ü":"` + "\u2028" + `","deep":[[[{"a":{}}]]]}`), event1("{ \n}"),
	}
	for i := range messages { // capture v1 refuses all if two have the same
		messages[i].UUID = fmt.Sprintf("0190a3c0-0000-7000-8000-%012x", i+1)
	}
	return messages
}

func TestAMessageThatCanNeverBeSentIsNamed(t *testing.T) {
	long := strings.Repeat("x", 201)
	bad := map[string]func(*outbox.Message){
		"no uuid":             func(m *outbox.Message) { m.UUID = "" },
		"a uuid in capitals":  func(m *outbox.Message) { m.UUID = strings.ToUpper(m.UUID) },
		"no event":            func(m *outbox.Message) { m.Event = "" },
		"a long event":        func(m *outbox.Message) { m.Event = long },
		"an event of no text": func(m *outbox.Message) { m.Event = "\xff" },
		"undecided":           func(m *outbox.Message) { m.DistinctID = "" },
		"a long distinct id":  func(m *outbox.Message) { m.DistinctID = long },
		"an id of no text":    func(m *outbox.Message) { m.DistinctID = "\xff" },
		"an alias of nobody":  func(m *outbox.Message) { m.Kind, m.AnonID = outbox.Alias, "" },
		"an alias of no text": func(m *outbox.Message) { m.Kind, m.AnonID = outbox.Alias, "\xff" },
		"an alias for nobody": func(m *outbox.Message) { m.Kind, m.DistinctID = outbox.Alias, "" },
	}
	for _, properties := range []string{
		``, `[1]`, `"a":1`, `{`, `{"a":`, `{"a":1`, `{"a":{"b":1}`, `{"a":1}}`, `{}{}`, "{\"a\":\"\xff\"}",
	} {
		bad["the properties "+properties] = func(m *outbox.Message) { m.Properties = []byte(properties) }
	}
	for name, spoil := range bad {
		messages := []outbox.Message{event1(`{}`), event1(`{}`)}
		spoil(&messages[1])
		var unsendable *outbox.Unsendable
		if _, _, err := New(Config{Key: "k"}).Encode(messages); !errors.As(err, &unsendable) || unsendable.Index != 1 {
			t.Errorf("%s: %v, want message 1 named, so that its neighbours arrive", name, err)
		}
	}
}
