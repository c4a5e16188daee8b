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

	Raw json.RawMessage // the item as it was received, which a terminal may obey
}

const (
	// maxSecrets and maxList bound a list, the latter in bytes of all its pages.
	maxSecrets = 100_000
	maxList    = 64 << 20
)

// List fetches the secrets in the Engine's order, over all pages if the answer has pages. It
// fails with [ErrNotEngine] when an answer is not a list of secrets, [ErrReported] when there is an error in it, with [ErrListTooLong] beyond
// 100,000 secrets or 64 MB, and with [ErrListIncomplete] when the pages do not go on.
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
		case len(found) > maxSecrets:
			return nil, ErrListTooLong
		case page.isLast(len(found)):
			return found, nil
		case !news:
			return nil, ErrListIncomplete
		}
		query = page.next(len(found))
	}
}

// page is an answer to a call for the list. Of its numbers those are nil that it does not have.
type page struct {
	items                           []json.RawMessage
	total, pageCount, limit, offset *int
}

func readPage(body []byte) (p page, err error) {
	var document map[string]json.RawMessage
	if json.Unmarshal(body, &document) != nil || json.Unmarshal(document["items"], &p.items) != nil || p.items == nil {
		return p, ErrNotEngine
	}
	// An item without any of the known fields is still one; something else is not.
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

// isLast reports whether nothing follows when found secrets are known with this page. Without a
// total the last page is the first that is empty or not full.
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
