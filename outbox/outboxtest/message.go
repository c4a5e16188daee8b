package outboxtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

const (
	// aliasEvent is the name by which PostHog knows an alias.
	aliasEvent = "$create_alias"
	// profileProperty switches the person profile of an event off when it is false.
	profileProperty = "$process_person_profile"
	// maxDistinctID is where PostHog cuts a distinct id, in characters.
	maxDistinctID = 200
)

// Message is one element of a batch as PostHog understands it.
type Message struct {
	// UUID is in the usual lower-case form. PostHog makes one up when there is none.
	UUID string
	// Event is the event's name, $create_alias for an alias.
	Event string
	// DistinctID is whom the event belongs to, cut at 200 characters. For an alias it is
	// the principal, the id that is kept.
	DistinctID string
	// Alias is the anon id that an alias merges into DistinctID, and empty for all else.
	Alias string
	// Timestamp is the event's own, or the time of arrival when that cannot be used.
	Timestamp time.Time
	// Raw is the event object byte by byte as it was sent. It must not be changed.
	Raw json.RawMessage

	key        uuid.UUID // UUID once more, as a map key
	token      string    // a key inside the event, for a batch that names none
	personless bool      // $process_person_profile is false
	flaws      []string
}

// IsAlias says whether the message is an alias and no event.
func (m Message) IsAlias() bool { return m.Event == aliasEvent }

// Properties returns the event's properties, decoded anew by each call, numbers as float64.
func (m Message) Properties() map[string]any {
	properties := map[string]any{}
	for key, value := range members(m.Raw) {
		if key == "properties" {
			_ = json.Unmarshal(value, &properties) // cannot fail: it was checked on arrival
		}
	}
	return properties
}

// parseMessage reads one element of a batch that has passed json.Valid. Its errors are those
// of shape, which PostHog finds before it looks at any key or content.
func parseMessage(raw []byte, arrived time.Time) (Message, error) {
	m := Message{Raw: raw, Timestamp: arrived}
	if raw[0] != '{' {
		return m, fmt.Errorf("is no object")
	}
	named := false
	var id, idProperty, stamp []byte
	for key, value := range members(raw) {
		var err error
		switch key {
		case "event":
			named = true
			m.Event, err = wantString(key, value)
		case "distinct_id", "$distinct_id":
			id = value
		case "uuid":
			m.key, err = wantUUID(value)
		case "timestamp":
			stamp = value
		case "token", "$token", "api_key":
			m.token, err = wantOptional(key, value)
		case "properties":
			idProperty, err = m.readProperties(value)
		}
		if err != nil {
			return m, err
		}
	}
	if !named {
		return m, fmt.Errorf("has no event name")
	}
	if m.DistinctID = idText(id); id == nil || string(id) == "null" {
		m.DistinctID = idText(idProperty)
	}
	if !m.IsAlias() {
		m.Alias = ""
	}
	m.readUUID()
	return m, m.readTimestamp(stamp)
}

// readProperties takes what PostHog looks for in the properties and returns the distinct id
// among them.
func (m *Message) readProperties(raw []byte) (distinctID []byte, err error) {
	if raw[0] != '{' {
		return nil, fmt.Errorf("has properties that are no object")
	}
	for key, value := range members(raw) {
		switch key {
		case "distinct_id":
			distinctID = value
		case "alias":
			m.Alias = idText(value)
		case "token":
			if m.token == "" && value[0] == '"' {
				m.token = text(value)
			}
		case profileProperty:
			m.personless = string(value) == "false"
		}
	}
	return distinctID, nil
}

// readUUID makes up a uuid when none was sent, as PostHog does. A repeat is then a new event.
func (m *Message) readUUID() {
	if m.key == uuid.Nil {
		m.key = uuid.New()
		m.flaws = append(m.flaws, "has no uuid, so PostHog cannot fold its repeats")
	}
	m.UUID = m.key.String()
}

// readTimestamp takes the event's own time. One that cannot be read is no reason for PostHog
// to refuse: it silently takes the time of arrival.
func (m *Message) readTimestamp(raw []byte) error {
	stamp, err := wantOptional("timestamp", raw)
	if err != nil {
		return err
	}
	if stamp == "" {
		m.flaws = append(m.flaws, "has no timestamp, so PostHog takes the time of arrival")
		return nil
	}
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		m.flaws = append(m.flaws, fmt.Sprintf(
			"has the timestamp %q, which is not RFC 3339, so PostHog may take the time of arrival", stamp))
		return nil
	}
	m.Timestamp = at.UTC()
	return nil
}

// wantString reads a member that must be a string.
func wantString(key string, value []byte) (string, error) {
	if value[0] != '"' {
		return "", fmt.Errorf("has a member %s that is no string", key)
	}
	return text(value), nil
}

// wantOptional reads a member that may be missing or null, and otherwise must be a string.
func wantOptional(key string, value []byte) (string, error) {
	if value == nil || string(value) == "null" {
		return "", nil
	}
	return wantString(key, value)
}

// wantUUID reads a uuid. Empty and null mean that there is none; PostHog refuses anything
// else that is no uuid.
func wantUUID(value []byte) (uuid.UUID, error) {
	switch {
	case string(value) == "null" || string(value) == `""`:
		return uuid.Nil, nil
	case value[0] != '"':
		return uuid.Nil, fmt.Errorf("has a member uuid that is no string")
	}
	id, err := uuid.ParseBytes(value[1 : len(value)-1])
	if err != nil {
		return uuid.Nil, fmt.Errorf("has the uuid %s, which is none", value)
	}
	return id, nil
}

// idText makes a distinct id of any JSON value: text as it is, anything else as its JSON,
// null and nothing as no id.
func idText(value []byte) string {
	if value == nil || string(value) == "null" {
		return ""
	}
	id := string(value)
	if value[0] == '"' {
		id = text(value)
	}
	if len(id) <= maxDistinctID || utf8.RuneCountInString(id) <= maxDistinctID {
		return id
	}
	return string([]rune(id)[:maxDistinctID])
}

// refusedInMerges says whether PostHog ignores a merge with this id, because such an id comes
// from a mistake and would melt strangers into one person. The list is PostHog's own.
func refusedInMerges(id string) bool {
	bare := strings.TrimSpace(id)
	for _, quote := range []string{`'`, `"`} {
		if len(bare) > 1 && strings.HasPrefix(bare, quote) && strings.HasSuffix(bare, quote) {
			bare = bare[1 : len(bare)-1]
			break
		}
	}
	switch bare {
	case "", "[object Object]", "NaN", "None", "none", "null", "0":
		return true
	}
	switch strings.ToLower(bare) {
	case "anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated", "email",
		"undefined", "true", "false":
		return true
	}
	return false
}
