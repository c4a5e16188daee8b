package posthog

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/posthog/posthog-go"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// maxName is the size of the longest event name and of the longest distinct id that capture v1 takes,
// in bytes.
const maxName = 200

// event is a message on the wire. /batch/ does not know options. Capture v1 appends them to the
// properties, and the library's name; there the same stands already, for /batch/.
type event struct {
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

// form returns the event of a message, with own behind its properties. An error means that it can never be sent:
// PostHog or its library would replace something in it silently, or PostHog would refuse all that is sent with it.
func form(m outbox.Message, own string) (any, error) {
	if err := check(m); err != nil {
		return nil, err
	}
	e := event{
		UUID: m.UUID, Event: m.Event, DistinctID: m.DistinctID, Timestamp: m.RecordedAt.UTC(),
		Options: options{DisableSkewCorrection: true},
	}
	if m.Kind == outbox.Alias {
		e.Event = "$create_alias"
		m.Properties, _ = json.Marshal(map[string]string{"alias": m.AnonID}) // a string always can be
	}
	if m.Anonymous() { // never an alias: PostHog would drop it
		e.Options.PersonProfile = new(false)
		own = `"$process_person_profile":false,` + own
	}
	e.Properties = extend(m.Properties, own)
	return e, nil
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

// extend puts more behind the properties: of two with one name the last one counts. Anything but a JSON object becomes
// invalid JSON, which cannot be sent.
func extend(properties json.RawMessage, more string) json.RawMessage {
	inner, opens := strings.CutPrefix(strings.Trim(string(properties), " \t\r\n"), "{")
	inner, closes := strings.CutSuffix(inner, "}")
	if !opens || !closes {
		return json.RawMessage(inner + more)
	}
	if strings.TrimSpace(inner) != "" {
		inner += ","
	}
	return json.RawMessage("{" + inner + more + "}")
}

// library returns what posthog-go and its client add to the properties of each message: its name, and the system.
// sdk is its name in a header. In a test it calls itself another version than its own.
func library() (properties, sdk string) {
	capture, _ := posthog.Capture{}.APIfy().(posthog.CaptureInApi)
	capture.Properties["$geoip_disable"] = true  // the client's default: an address says little of a CLI's user
	added, _ := json.Marshal(capture.Properties) // they are texts and switches
	version, _ := capture.Properties["$lib_version"].(string)
	return strings.Trim(string(added), "{}"), posthog.SDKName + "/" + version
}
