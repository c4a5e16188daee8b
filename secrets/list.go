package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Secret is the Engine's description of a secret. A field that is missing, null or of an unexpected
// type is "". Its texts are the server's: pass them through [Printable] before you show them.
type Secret struct {
	ID             string `json:"id"`
	Key            string `json:"key"`
	Description    string `json:"description"`
	Hint           string `json:"hint"`             // the end of the value
	LastAccessedAt string `json:"last_accessed_at"` // for [ParseTime]; "" when never
	CreatedAt      string `json:"created_at"`       // for [ParseTime]
	Binding        struct {
		Type string `json:"type"`
	} `json:"binding"`

	Raw json.RawMessage `json:"-"` // the item as received; a terminal may obey parts of it
}

// List fetches the secrets of all pages in the Engine's order. Beside the errors of every call there are
// [ErrNotEngine] and [ErrReported] for an answer that is not a list or is over 64 MB, and [ErrListIncomplete] for a
// page that brings nothing new.
func (c *Client) List(ctx context.Context) ([]Secret, error) {
	found, seen := []Secret{}, make(map[string]bool)
	for query := ""; ; query = "offset=" + strconv.Itoa(len(found)) {
		a, err := c.call(ctx, request{method: http.MethodGet, query: query})
		if err != nil {
			return nil, err
		}
		page, err := readPage(a.body)
		if err != nil {
			return nil, err
		}
		before := len(seen)
		for _, item := range page.Items {
			secret := Secret{Raw: item}
			_ = json.Unmarshal(item, &secret) // leaves out fields of an unexpected type
			if !seen[secret.ID] {
				found = append(found, secret)
			}
			if secret.ID != "" {
				seen[secret.ID] = true
			}
		}
		switch {
		case page.Total == nil || len(found) >= int(*page.Total):
			return found, nil
		case len(seen) == before:
			return nil, ErrListIncomplete
		}
	}
}

type page struct {
	Items []json.RawMessage `json:"items"`
	Total *uint             `json:"total_count"` // of all pages; nil where there is only this one
	Error any               `json:"error"`
}

func readPage(body []byte) (p page, err error) {
	err = json.Unmarshal(body, &p)
	if unexpected := (*json.UnmarshalTypeError)(nil); errors.As(err, &unexpected) {
		err = nil // of one field, which is left out
	}
	// An item may lack every known field, but is an object.
	noObject := func(item json.RawMessage) bool { return item[0] != '{' }
	switch {
	case err != nil || p.Items == nil || slices.ContainsFunc(p.Items, noObject):
		return p, ErrNotEngine
	case p.Error != nil:
		return p, ErrReported
	}
	return p, nil
}

// ParseTime reads a time of the Engine: RFC 3339, or the same without a zone, which is UTC.
func ParseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05", text)
	}
	return t, err
}
