package secrets_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/secrets"
	"github.com/ArcadeAI/arcade-cli/secrets/secretstest"
)

func TestListReadsWhatTheEngineTells(t *testing.T) {
	const full = `{"id": "sec_1", "key": "KEY", "binding": {"type": "project"}, "description": "d", "hint": "abcd",
		"last_accessed_at": "2026-01-02T03:04:05.678Z", "created_at": "2026-01-01T00:00:00Z", "new": {"a": [1, 2.50]}}`
	const never = `{"key": "K", "hint": null, "last_accessed_at": null, "binding": null}`
	const other = `{"id": 7, "key": "K", "binding": "project", "hint": ["x"], "created_at": 1767225600}`
	complete := secrets.Secret{ID: "sec_1", Key: "KEY", Description: "d", Hint: "abcd",
		LastAccessedAt: "2026-01-02T03:04:05.678Z", CreatedAt: "2026-01-01T00:00:00Z", Raw: json.RawMessage(full)}
	complete.Binding.Type = "project"
	tests := []struct {
		name   string
		answer string
		want   []secrets.Secret
	}{
		{"every field, and unknown ones", `{"items": [` + full + `], "total": 1}`, []secrets.Secret{complete}},
		{"null for what was never", `{"items": [` + never + `]}`, []secrets.Secret{{Key: "K", Raw: json.RawMessage(never)}}},
		{"no fields at all", `{"items": [{}]}`, []secrets.Secret{{Raw: json.RawMessage(`{}`)}}},
		{"fields of other types", `{"items": [` + other + `]}`, []secrets.Secret{{Key: "K", Raw: json.RawMessage(other)}}},
		{"an empty list", `{"items": []}`, []secrets.Secret{}},
	}
	for _, tt := range tests {
		engine, c := newClient(t)
		engine.Answer(tt.answer)
		if got, err := c.List(t.Context()); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: List gave %+v and %v, want %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestListRefusesWhatIsNoList(t *testing.T) {
	refuse := func(want error, answers ...string) {
		for _, answer := range answers {
			engine, c := newClient(t)
			engine.Answer(answer)
			if _, err := c.List(t.Context()); !errors.Is(err, want) || strings.Contains(err.Error(), "sentinel") {
				t.Errorf("List of %s gave %v, want %v: an empty table would be taken for the truth", answer, err, want)
			}
		}
	}
	refuse(secrets.ErrNotEngine, `{"items": null}`, `{}`, `null`, `{"error": "sentinel"}`, `[]`, `"sentinel"`, `{"items": {}}`,
		`{"items": "sentinel"}`, `sentinel`, ` `, `{"items": [}`, `{"items": [null]}`, `{"items": [{}, "sentinel"]}`)
	refuse(secrets.ErrReported, `{"items": [], "error": "sentinel"}`)
}

func TestParseTime(t *testing.T) {
	want := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	for _, text := range []string{"2026-01-02T03:04:05.678Z", "2026-01-02T04:04:05.678+01:00", "2026-01-02T03:04:05.678"} {
		if got, err := secrets.ParseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("ParseTime(%s) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "1767225600"} {
		if got, err := secrets.ParseTime(text); err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", text, got)
		}
	}
}

func TestListEndsWhereThePagesEnd(t *testing.T) {
	const one, two, none = `"items": [{"id": "1"}]`, `"items": [{"id": "2"}]`, `"items": []`
	tests := []struct {
		name      string
		documents []string
		found     int
		asked     int
		want      error
	}{
		{"behind the last page", []string{`{` + one + `, "total_count": 2}`, `{` + two + `, "total_count": 2}`}, 2, 2, nil},
		{"by a total of nothing", []string{`{` + none + `, "total_count": 0}`}, 0, 1, nil},
		{"with the first answer that has no total", []string{`{` + one + `, "limit": 1, "offset": 0}`}, 1, 1, nil},
		{"a total of another type counts as none", []string{`{` + one + `, "total_count": "9"}`}, 1, 1, nil},
		{"not by the same page again", []string{`{` + one + `, "total_count": 9}`}, 0, 2, secrets.ErrListIncomplete},
		{"not by a page without ids", []string{`{"items": [{}], "total_count": 9}`}, 0, 1, secrets.ErrListIncomplete},
		{"not by an empty page too early", []string{`{` + one + `, "total_count": 9}`, `{` + none + `, "total_count": 9}`}, 0, 2,
			secrets.ErrListIncomplete},
		{"not by something else", []string{`{` + one + `, "total_count": 9}`, `null`}, 0, 2, secrets.ErrNotEngine},
	}
	for _, tt := range tests {
		engine, c := newClient(t)
		engine.Answer(tt.documents[len(tt.documents)-1]) // for ever
		for _, document := range slices.Backward(tt.documents) {
			engine.Inject(fault{Mode: secretstest.Body, Body: document, Times: 1})
		}
		list, err := c.List(t.Context())
		var queries []string
		for _, request := range engine.Requests() {
			queries = append(queries, request.Query)
		}
		if want := []string{"", "offset=1"}[:tt.asked]; len(list) != tt.found || !errors.Is(err, tt.want) || !slices.Equal(queries, want) {
			t.Errorf("%s: List gave %d secrets and %v and asked for %q, want %d and %v and the pages in turn, %q",
				tt.name, len(list), err, queries, tt.found, tt.want, want)
		}
	}
}
