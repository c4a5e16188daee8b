package httpsink

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// element is a message on the wire.
type element struct {
	UUID       string          `json:"uuid"`
	Kind       outbox.Kind     `json:"kind"`
	Event      string          `json:"event"`
	DistinctID string          `json:"distinct_id"`
	Alias      string          `json:"alias,omitempty"` // of an alias: the anon id
	Timestamp  time.Time       `json:"timestamp"`
	Properties json.RawMessage `json:"properties"`
}

// appendMessage puts a message on the wire. An error means that it can never be sent.
func appendMessage(wire []byte, m outbox.Message) ([]byte, error) {
	e := element{
		UUID: m.UUID, Kind: m.Kind, Event: m.Event, DistinctID: m.DistinctID,
		Timestamp: m.RecordedAt.UTC(), Properties: m.Properties,
	}
	if m.Kind == outbox.Alias {
		e.Alias = m.AnonID
		e.Properties = json.RawMessage(`{}`)
	}
	if m.UUID == "" || m.Event == "" || m.DistinctID == "" || m.Kind == outbox.Alias && m.AnonID == "" {
		return nil, errors.New("not a valid message: no uuid, event, distinct id or alias")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(e.Properties, " \t\r\n"), []byte("{")) {
		return nil, errors.New("not a valid message: its properties are no JSON object")
	}
	form, err := json.Marshal(e)
	if err != nil {
		return nil, errors.New("not a valid message: no JSON properties or no time")
	}
	return append(wire, form...), nil
}
