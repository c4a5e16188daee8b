package outboxtest

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzWalk holds the walker against encoding/json on whatever is valid.
func FuzzWalk(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, ` { "a" : [ 1 , {"b":"]}"} ] , "c\u0064" : -1.5e3 } `, `[[],{},"\\\"",null,true]`,
		`{"a":{"a":{"a":"\\"}},"b":0}`, `"text"`, `12`, `[1,2 ]`, "{\n\"x\"\t:\r1}", `{"a":1,"a":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !utf8.Valid(raw) || !json.Valid(raw) {
			t.Skip("the walker is for valid JSON only")
		}
		compareObject(t, raw)
		compareArray(t, raw)
	})
}

func compareObject(t *testing.T, raw []byte) {
	var want map[string]json.RawMessage
	if json.Unmarshal(raw, &want) != nil {
		want = nil
	}
	got := object(raw)
	if len(got) != len(want) {
		t.Fatalf("members of %q: %d, encoding/json finds %d", raw, len(got), len(want))
	}
	for key, value := range want {
		if !bytes.Equal(got[key], value) {
			t.Fatalf("member %q of %q: %q, encoding/json finds %q", key, raw, got[key], value)
		}
	}
}

func compareArray(t *testing.T, raw []byte) {
	var want []json.RawMessage
	if json.Unmarshal(raw, &want) != nil {
		want = nil
	}
	i := 0
	for value := range elements(raw) {
		if i >= len(want) || !bytes.Equal(value, want[i]) {
			t.Fatalf("element %d of %q: %q, encoding/json finds %q", i, raw, value, want)
		}
		i++
	}
	if i != len(want) {
		t.Fatalf("elements of %q: %d, encoding/json finds %d", raw, i, len(want))
	}
}
