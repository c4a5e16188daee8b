package secrets

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Secret is the Engine's description of a secret. A field that is missing, null or of an unexpected
// type is "". Its texts are the server's: pass them through [Printable] before a terminal.
type Secret struct {
	ID             string
	Key            string
	Type           string // of its binding
	Description    string
	Hint           string // the end of the value
	LastAccessedAt string // for [ParseTime]; "" when never
	CreatedAt      string // for [ParseTime]

	Raw json.RawMessage // the item as received; a terminal may obey parts of it
}

// maxList bounds a list, in bytes of all its pages.
const maxList = 64 << 20

// List fetches the secrets of all pages in the Engine's order. Beside the errors of every call there are
// [ErrNotEngine] and [ErrReported] for an answer that is no list, [ErrListTooLong] beyond 64 MB, and
// [ErrListIncomplete] for a page that brings nothing new.
func (c *Client) List(ctx context.Context) ([]Secret, error) {
	found, seen, room := []Secret{}, make(map[string]bool), maxList
	for query := ""; ; {
		a, err := c.call(ctx, request{method: http.MethodGet, action: Listing, query: query, limit: room})
		if err != nil {
			return nil, err
		}
		if room -= len(a.body); room < 0 {
			return nil, ErrListTooLong
		}
		page, err := readPage(a.body)
		if err != nil {
			return nil, err
		}
		news := false
		for _, item := range page.items {
			secret := readSecret(item)
			if secret.ID == "" || !seen[secret.ID] {
				found = append(found, secret)
			}
			news = news || secret.ID != "" && !seen[secret.ID]
			seen[secret.ID] = true
		}
		switch {
		case page.isLast(len(found)):
			return found, nil
		case !news:
			return nil, ErrListIncomplete
		}
		query = page.next(len(found))
	}
}

// page is one answer to a call for the list. A number that it lacks is nil.
type page struct {
	items                           []json.RawMessage
	total, pageCount, limit, offset *int
}

func readPage(body []byte) (p page, err error) {
	var document map[string]json.RawMessage
	if json.Unmarshal(body, &document) != nil || json.Unmarshal(document["items"], &p.items) != nil || p.items == nil {
		return p, ErrNotEngine
	}
	// An item may lack every known field, but is an object.
	if slices.ContainsFunc(p.items, func(item json.RawMessage) bool { return item[0] != '{' }) {
		return p, ErrNotEngine
	}
	number := func(name string) *int {
		var n *int
		if json.Unmarshal(document[name], &n) != nil || n != nil && *n < 0 {
			return nil
		}
		return n
	}
	p.total, p.pageCount, p.limit, p.offset = number("total_count"), number("page_count"), number("limit"), number("offset")
	return p, reported(document)
}

// isLast reports whether this page ends the list, of which found secrets are known with it. Without a total,
// a page that is empty or not full ends it.
func (p page) isLast(found int) bool {
	switch {
	case p.total != nil:
		return found >= *p.total
	case p.limit != nil:
		return len(p.items) < *p.limit || len(p.items) == 0
	case p.offset != nil, p.pageCount != nil:
		return len(p.items) == 0
	}
	return true
}

// next is the query for the page behind the first found secrets.
func (p page) next(found int) string {
	query := url.Values{"offset": {strconv.Itoa(found)}}
	if p.limit != nil && *p.limit > 0 {
		query.Set("limit", strconv.Itoa(*p.limit))
	}
	return query.Encode()
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
	_ = json.Unmarshal(raw, &fields)
	return fields
}

func stringOf(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s)
	return s
}
