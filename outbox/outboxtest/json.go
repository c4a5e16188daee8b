package outboxtest

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
)

// The functions of this file take JSON apart that json.Valid has accepted, so their errors only say
// that it is of another kind.

// members yields the members of the JSON object raw in the order of their names, values as they were
// sent. Anything but an object has none.
func members(raw []byte) iter.Seq2[string, []byte] {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(raw, &all)
	return func(yield func(string, []byte) bool) {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !yield(name, all[name]) {
				return
			}
		}
	}
}

// elements returns the elements of the JSON array raw as they were sent. Anything but an array has
// none.
func elements(raw []byte) []json.RawMessage {
	var all []json.RawMessage
	_ = json.Unmarshal(raw, &all)
	return all
}

// text is the JSON string raw, unquoted.
func text(raw []byte) (unquoted string) {
	_ = json.Unmarshal(raw, &unquoted)
	return unquoted
}
