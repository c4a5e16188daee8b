package posthog

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

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
	known.DistinctID = "person"
	loud := event1(`{"text":"<&>ü\\\" \/ é"}`)
	loud.Event, loud.AnonID, loud.DistinctID = "<&>\u2028ü\\\"\t\x00\x7f", "a<b", "a<b"
	return []outbox.Message{
		event1(`{}`), known, alias1(), loud, event1(`null`),
		event1(` { "b" : 1 , "a" : "x" , "$lib":"mine", "$process_person_profile":true, "a":"twice" } `),
		event1(`{"<":1,"\u003c":2,"ü":"` + "\u2028" + `"}`),
	}
}

// typical is n events of about 600 bytes on the wire.
func typical(n int) []outbox.Message {
	messages := make([]outbox.Message, n)
	for i := range messages {
		messages[i] = event1(fmt.Sprintf(`{"command_name":"secret.set","cli_version":"1.2.3","runtime_language":"go","runtime_version":"go1.26.8","os_type":"Linux","os_release":"6.1.0-13-amd64","duration":%d.25}`, i))
		messages[i].UUID = uuid.Must(uuid.NewV7()).String() // the outbox's default: neighbours in the queue are so in the index
	}
	return messages
}
