package outbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Kind says how a message travels.
type Kind string

// The two kinds of messages.
const (
	Capture Kind = "capture" // an event of DistinctID
	Alias   Kind = "alias"   // AnonID is merged into DistinctID
)

// State says what became of a message.
type State string

// The states of a message. Delivered and dead ones are receipts, kept for a while.
const (
	Pending   State = "pending"
	Delivered State = "delivered" // accepted
	Dead      State = "dead"      // refused for good
)

// Message is one row of the queue. All that goes over the wire is fixed when it is added, but
// for the distinct id of a held message, which is fixed before the message is first sent.
type Message struct {
	Seq        int64           // order of recording, set by Add
	UUID       string          // set by Add when empty
	Kind       Kind            // Capture when empty
	Event      string          // the event's name
	AnonID     string          // the anonymous id it was recorded under
	DistinctID string          // whose it is; empty and not held: AnonID's
	Hold       string          // the name it is held under until DistinctID is known
	Properties json.RawMessage // a JSON object; {} when empty
	RecordedAt time.Time       // set by Add when zero; millisecond precision

	State     State
	Attempts  int       // refusals
	LastError string    // fixed words, never a server's text
	SettledAt time.Time // when it became delivered or dead
}

// Anonymous reports whether the message goes out, or went out, under its anon id.
func (m Message) Anonymous() bool {
	return m.Kind == Capture && m.DistinctID == m.AnonID
}

// held reports whether the message waits for its distinct id. An alias without one waits
// without a name.
func (m Message) held() bool {
	return m.DistinctID == "" && (m.Hold != "" || m.Kind == Alias)
}

// complete fills what was left out and checks the rest: what no sink could send must not wait
// in the queue, only to be found dead there.
func (m Message) complete(now time.Time) (Message, error) {
	m.Kind = cmp.Or(m.Kind, Capture)
	m.UUID = cmp.Or(m.UUID, uuid.Must(uuid.NewV7()).String()) // whose order in time keeps the index small
	if len(m.Properties) == 0 {
		m.Properties = json.RawMessage(`{}`)
	}
	if m.RecordedAt.IsZero() {
		m.RecordedAt = now
	}
	if !m.held() {
		m.DistinctID = cmp.Or(m.DistinctID, m.AnonID)
	}
	m.AnonID = cmp.Or(m.AnonID, m.DistinctID)
	return m, m.check()
}

func (m Message) check() error {
	switch {
	case m.Kind != Capture && m.Kind != Alias:
		return fmt.Errorf("a message's kind is %q or %q, not %q", Capture, Alias, m.Kind)
	case !isPlainUUID(m.UUID):
		return errors.New("a message's uuid is not 32 lower-case hexadecimal digits in five groups")
	case m.Event == "":
		return errors.New("a message has no event name")
	case m.AnonID == "":
		return errors.New("a message belongs to nobody: set AnonID or DistinctID")
	case m.DistinctID != "" && m.Hold != "":
		return errors.New("a message with a distinct id is held: set one of DistinctID and Hold")
	case m.RecordedAt.Year() < 0 || m.RecordedAt.Year() > 9999: // RFC 3339 has no others
		return errors.New("a message's time is not valid")
	}
	if start := bytes.TrimLeft(m.Properties, " \t\r\n"); !bytes.HasPrefix(start, []byte("{")) || !json.Valid(start) {
		return errors.New("a message's properties are not a JSON object")
	}
	return nil
}

// isPlainUUID knows one form only: a server may fold repeats by the letters.
func isPlainUUID(id string) bool {
	parsed, err := uuid.Parse(id)
	return err == nil && parsed.String() == id
}
