package posthog

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/posthog/posthog-go"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// maxName is the size of the longest event name and of the longest distinct id that capture v1 takes,
// in bytes.
const maxName = 200

// form is a message on the wire. /batch/ does not know options. Capture v1 appends them to the
// properties, and the library's name; there the same stands already, for /batch/.
type form struct {
	UUID       string          `json:"uuid"`
	Event      string          `json:"event"`
	DistinctID string          `json:"distinct_id"`
	Timestamp  time.Time       `json:"timestamp"`
	Options    options         `json:"options"`
	Properties json.RawMessage `json:"properties"`
}

type options struct {
	PersonProfile         *bool `json:"process_person_profile,omitempty"`
	DisableSkewCorrection bool  `json:"disable_skew_correction"` // a repeat with another time would not be folded
}

// encoder puts messages on the wire.
type encoder struct {
	suffix func() []byte // what the library adds to all properties
}

// append puts a message on the wire. An error means that it can never be sent: PostHog or its library
// would replace something in it silently, or PostHog would refuse all that is sent with it.
func (e encoder) append(wire []byte, m outbox.Message) ([]byte, error) {
	if err := check(m); err != nil {
		return nil, err
	}
	f := form{
		UUID: m.UUID, Event: m.Event, DistinctID: m.DistinctID, Timestamp: m.RecordedAt.UTC(),
		Options: options{DisableSkewCorrection: true}, Properties: m.Properties,
	}
	if m.Kind == outbox.Alias {
		f.Event = "$create_alias"
		f.Properties, _ = json.Marshal(map[string]string{"alias": m.AnonID}) // a string always can be
	}
	if m.Anonymous() {
		f.Options.PersonProfile = new(false)
	}
	var err error
	if f.Properties, err = extend(f.Properties, e.suffix(), m.Anonymous()); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(f)
	if err != nil {
		return nil, errors.New("not a valid message: its properties are not JSON, or it has no time")
	}
	return append(wire, encoded...), nil
}

func check(m outbox.Message) error {
	id, err := uuid.Parse(m.UUID)
	switch {
	case err != nil || id.String() != m.UUID: // the server's results have this form only
		return errors.New("not a valid message: no uuid")
	case m.Kind == outbox.Alias && posthog.Alias{DistinctId: m.DistinctID, Alias: m.AnonID}.Validate() != nil:
		return errors.New("not a valid message: no alias or no distinct id")
	case m.Kind != outbox.Alias && posthog.Capture{DistinctId: m.DistinctID, Event: m.Event}.Validate() != nil:
		return errors.New("not a valid message: no event or no distinct id")
	case len(m.Event) > maxName || len(m.DistinctID) > maxName:
		return errors.New("not a valid message: an event name or a distinct id of more than 200 bytes")
	case !utf8.ValidString(m.Event) || !utf8.ValidString(m.DistinctID) || !utf8.ValidString(m.AnonID) || !utf8.Valid(m.Properties):
		return errors.New("not a valid message: not UTF-8")
	}
	return nil
}

// extend returns the properties with those of the library behind them. Of two with one name the last
// one counts.
func extend(properties, suffix []byte, anonymous bool) ([]byte, error) {
	const blanks = " \t\r\n"
	inner, opened := bytes.CutPrefix(bytes.Trim(properties, blanks), []byte("{"))
	inner, closed := bytes.CutSuffix(inner, []byte("}"))
	if !opened || !closed {
		return nil, errors.New("not a valid message: its properties are no JSON object")
	}
	longer := append([]byte("{"), inner...)
	if len(bytes.Trim(inner, blanks)) > 0 {
		longer = append(longer, ',')
	}
	if anonymous { // never an alias: PostHog would drop it
		longer = append(longer, `"$process_person_profile":false,`...)
	}
	return append(longer, suffix...), nil
}

// suffix is what the library and its client add to the properties: its name, and the system.
func suffix() []byte {
	capture, _ := posthog.Capture{}.APIfy().(posthog.CaptureInApi)
	capture.Properties["$geoip_disable"] = true  // the client's default: an address says little of a CLI's user
	added, _ := json.Marshal(capture.Properties) // they are texts and switches
	return bytes.TrimPrefix(added, []byte("{"))
}

// sdk is the library in a header. In a test it calls itself another version than its own.
func sdk() string {
	capture, _ := posthog.Capture{}.APIfy().(posthog.CaptureInApi)
	version, _ := capture.Properties["$lib_version"].(string)
	return posthog.SDKName + "/" + version
}
