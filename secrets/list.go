package secrets

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Secret is what the Engine tells of one. A field that is missing, null or of an unexpected
// type is "". The texts are the server's: they go through [Printable] before a terminal.
type Secret struct {
	ID             string
	Key            string
	Type           string // of its binding
	Description    string
	Hint           string // the end of the value
	LastAccessedAt string // for [ParseTime]; "" when never
	CreatedAt      string // for [ParseTime]

	Raw json.RawMessage // the item as it was received; for a terminal through [PrintableJSON]
}

// List fetches the secrets in the Engine's order. It fails with [ErrNotEngine] when the
// answer is not a list of secrets.
func (c *Client) List(ctx context.Context) ([]Secret, error) {
	a, err := c.call(ctx, http.MethodGet, nil)
	if err != nil {
		return nil, err
	}
	var document struct {
		Items []json.RawMessage `json:"items"`
	}
	// Of an answer that was cut off at maxAnswer no JSON is left.
	if err := json.Unmarshal(a.body, &document); err != nil {
		return nil, ErrNotEngine
	}
	found := make([]Secret, 0, len(document.Items))
	for _, item := range document.Items {
		found = append(found, readSecret(item))
	}
	return found, nil
}

// ParseTime reads a time of the Engine: RFC 3339, or the same without a zone, which is UTC.
func ParseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05", text)
	}
	return t, err
}

func readSecret(item json.RawMessage) Secret {
	fields := fieldsOf(item)
	return Secret{
		ID:             stringOf(fields["id"]),
		Key:            stringOf(fields["key"]),
		Type:           stringOf(fieldsOf(fields["binding"])["type"]),
		Description:    stringOf(fields["description"]),
		Hint:           stringOf(fields["hint"]),
		LastAccessedAt: stringOf(fields["last_accessed_at"]),
		CreatedAt:      stringOf(fields["created_at"]),
		Raw:            item,
	}
}

func fieldsOf(raw json.RawMessage) (fields map[string]json.RawMessage) {
	if json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	return fields
}

func stringOf(raw json.RawMessage) (s string) {
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
