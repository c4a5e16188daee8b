package secrets_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/secrets"
)

func TestListReadsWhatTheEngineTells(t *testing.T) {
	const full = `{"id": "sec_1", "key": "KEY", "binding": {"type": "project"}, "description": "d", "hint": "abcd",
		"last_accessed_at": "2026-01-02T03:04:05.678Z", "created_at": "2026-01-01T00:00:00Z", "new": {"a": [1, 2.50]}}`
	complete := secrets.Secret{ID: "sec_1", Key: "KEY", Type: "project", Description: "d", Hint: "abcd",
		LastAccessedAt: "2026-01-02T03:04:05.678Z", CreatedAt: "2026-01-01T00:00:00Z", Raw: json.RawMessage(full)}
	tests := []struct {
		name   string
		answer string
		want   []secrets.Secret
	}{
		{"every field, and unknown ones", `{"items": [` + full + `], "total": 1}`, []secrets.Secret{complete}},
		{"null for what was never", `{"items": [{"key": "K", "hint": null, "last_accessed_at": null, "binding": null}]}`,
			[]secrets.Secret{{Key: "K", Raw: json.RawMessage(`{"key": "K", "hint": null, "last_accessed_at": null, "binding": null}`)}}},
		{"no fields at all", `{"items": [{}]}`, []secrets.Secret{{Raw: json.RawMessage(`{}`)}}},
		{"fields of other types", `{"items": [{"id": 7, "key": "K", "binding": "project", "hint": ["x"], "created_at": 1767225600}]}`,
			[]secrets.Secret{{Key: "K", Raw: json.RawMessage(`{"id": 7, "key": "K", "binding": "project", "hint": ["x"], "created_at": 1767225600}`)}}},
		{"items that are no objects", `{"items": [null, "x"]}`, []secrets.Secret{{Raw: json.RawMessage(`null`)}, {Raw: json.RawMessage(`"x"`)}}},
		{"an empty list", `{"items": []}`, []secrets.Secret{}},
		{"a list that is null", `{"items": null}`, []secrets.Secret{}},
		{"a list that was left out", `{}`, []secrets.Secret{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			engine, c := newClient(t)
			engine.Answer(tt.answer)
			got, err := c.List(t.Context())
			if err != nil {
				t.Fatalf("List failed: %v", err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("List gave %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestListRefusesWhatIsNoList(t *testing.T) {
	for _, answer := range []string{`[]`, `"sentinel"`, `{"items": {}}`, `{"items": "sentinel"}`, `sentinel`, ` `, `{"items": [}`} {
		engine, c := newClient(t)
		engine.Answer(answer)
		_, err := c.List(t.Context())
		if !errors.Is(err, secrets.ErrNotEngine) || strings.Contains(err.Error(), "sentinel") {
			t.Errorf("List of %s gave %v, want ErrNotEngine", answer, err)
		}
	}
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
