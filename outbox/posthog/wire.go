package posthog

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/posthog/posthog-go"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// encoder puts messages on the wire as the library's client would. An alias is marshalled from the
// library's own form. Captures are many, and written by hand: their properties are JSON already, and
// through the library each would be decoded and encoded again, at three times the cost. What the
// library adds to them comes from the library.
type encoder struct {
	library map[string]json.RawMessage // the properties that the library adds; nil before the first capture
	values  map[string]json.RawMessage // of the message at hand
	names   []string
}

// append puts a message on the wire. It checks what PostHog or its library would silently replace
// or choke on; an error means that the message can never be sent.
func (e *encoder) append(wire []byte, m outbox.Message) ([]byte, error) {
	if uuid.Validate(m.UUID) != nil {
		return nil, errors.New("not a valid message: no uuid")
	}
	if year := m.RecordedAt.Year(); year < 0 || year > 9999 { // RFC 3339 has no others
		return nil, errors.New("not a valid message: no time")
	}
	if m.Kind == outbox.Alias {
		return appendAlias(wire, m)
	}
	if m.Event == "" || m.DistinctID == "" {
		return nil, errors.New("not a valid message: no event or no distinct id")
	}
	return e.appendCapture(wire, m)
}

func appendAlias(wire []byte, m outbox.Message) ([]byte, error) {
	alias := posthog.Alias{
		Type: "alias", Uuid: m.UUID, DistinctId: m.DistinctID, Alias: m.AnonID, Timestamp: m.RecordedAt,
		DisableGeoIP: true, // the client's default: where an address is says little of a CLI's user
	}
	if alias.Validate() != nil {
		return nil, errors.New("not a valid message: no alias or no distinct id")
	}
	form, err := json.Marshal(alias.APIfy())
	if err != nil {
		return nil, errors.New("not a valid message: not JSON")
	}
	return append(wire, form...), nil
}

func (e *encoder) appendCapture(wire []byte, m outbox.Message) ([]byte, error) {
	if err := e.readProperties(m); err != nil {
		return nil, err
	}
	wire = appendString(append(wire, `{"uuid":`...), m.UUID)
	wire = m.RecordedAt.UTC().AppendFormat(append(wire, `,"timestamp":"`...), time.RFC3339Nano)
	wire = appendString(append(wire, `","distinct_id":`...), m.DistinctID)
	wire = appendString(append(wire, `,"event":`...), m.Event)
	wire = append(wire, `,"properties":{`...)
	for i, name := range e.names {
		if i > 0 {
			wire = append(wire, ',')
		}
		wire = append(appendString(wire, name), ':')
		wire = appendValue(wire, e.values[name])
	}
	return append(wire, "}}"...), nil
}

// readProperties fills values and names with the message's properties and, over them, those of the
// client and of the library.
func (e *encoder) readProperties(m outbox.Message) error {
	if e.library == nil {
		if err := e.askLibrary(); err != nil {
			return err
		}
	}
	clear(e.values)
	err := json.Unmarshal(m.Properties, &e.values)
	if e.values == nil { // null is no properties
		e.values = map[string]json.RawMessage{}
	}
	if err != nil {
		return errors.New("not a valid message: its properties are no JSON object")
	}
	if m.Anonymous() {
		e.values["$process_person_profile"] = json.RawMessage("false")
	}
	maps.Copy(e.values, e.library)
	e.names = slices.AppendSeq(e.names[:0], maps.Keys(e.values))
	slices.Sort(e.names)
	return nil
}

// askLibrary learns what the library and its client add to every capture.
func (e *encoder) askLibrary() error {
	form, err := json.Marshal(posthog.Capture{}.APIfy())
	if err != nil {
		return err
	}
	var capture struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(form, &capture); err != nil {
		return err
	}
	capture.Properties["$geoip_disable"] = json.RawMessage("true") // the client's default
	e.library, e.values = capture.Properties, map[string]json.RawMessage{}
	return nil
}

// appendString appends a JSON string.
func appendString(wire []byte, s string) []byte {
	if !isPlain(s) {
		quoted, _ := json.Marshal(s) // a string always can be
		return append(wire, quoted...)
	}
	wire = append(wire, '"')
	wire = append(wire, s...)
	return append(wire, '"')
}

// appendValue appends a JSON value as encoding/json would: without blanks, and safe within HTML.
func appendValue(wire []byte, value json.RawMessage) []byte {
	scalar := value[0] != '{' && value[0] != '['
	for _, b := range value {
		if !scalar || b >= 0x80 || b == '<' || b == '>' || b == '&' {
			compact, _ := json.Marshal(value) // it was read as JSON
			return append(wire, compact...)
		}
	}
	return append(wire, value...)
}

// isPlain tells whether a string is the same within quotes.
func isPlain(s string) bool {
	for _, b := range []byte(s) {
		if b < 0x20 || b >= 0x7f || b == '"' || b == '\\' || b == '<' || b == '>' || b == '&' {
			return false
		}
	}
	return true
}

// libraryVersion is what the library calls itself, which in a test is another version than its own.
func libraryVersion() string {
	form, _ := posthog.Capture{}.APIfy().(posthog.CaptureInApi)
	version, _ := form.Properties["$lib_version"].(string)
	return version
}
