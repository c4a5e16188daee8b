package outboxtest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxBody is the most PostHog takes in one request, in bytes after decompression.
	maxBody = 20 << 20
	// maxEvent is the largest event that fits into PostHog's queue, in bytes.
	maxEvent = 1 << 20
	// maxToken is the longest project key, in bytes.
	maxToken = 64
)

// batch is a request body that was understood.
type batch struct {
	token    string
	messages []Message
}

// refusal is why a batch is not kept: a status and a reason for a person.
type refusal struct {
	status int
	reason string
}

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, reason: fmt.Sprintf(format, args...)}
}

// parseBatch reads a body as PostHog's /batch/ does. The order of its checks is PostHog's:
// encoding, shape, key, and only then the events one by one.
func parseBatch(body []byte, arrived time.Time) (batch, *refusal) {
	plain, no := decompress(body)
	if no != nil {
		return batch{}, no
	}
	if !utf8.Valid(plain) {
		return batch{}, refuse(http.StatusBadRequest, "the body is not UTF-8")
	}
	if !json.Valid(plain) {
		return batch{}, refuse(http.StatusBadRequest, "the body is not JSON")
	}
	b, no := readEnvelope(plain, arrived)
	if no == nil {
		no = checkToken(&b)
	}
	if no == nil {
		no = checkEvents(b.messages)
	}
	return b, no
}

// decompress undoes gzip, which is known by its first three bytes and by nothing else.
func decompress(body []byte) ([]byte, *refusal) {
	if len(body) > maxBody {
		return nil, tooBig()
	}
	if !isGzip(body) {
		return body, nil
	}
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is broken gzip: %v", err)
	}
	size := binary.LittleEndian.Uint32(body[len(body)-4:]) // gzip ends with the size of its content
	plain := bytes.NewBuffer(make([]byte, 0, min(size, maxBody)+bytes.MinRead))
	if _, err = plain.ReadFrom(io.LimitReader(reader, maxBody+1)); err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is broken gzip: %v", err)
	}
	if plain.Len() > maxBody {
		return nil, tooBig()
	}
	return plain.Bytes(), nil
}

func isGzip(body []byte) bool { return bytes.HasPrefix(body, []byte{0x1f, 0x8b, 8}) }

func tooBig() *refusal {
	return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d MB", maxBody>>20)
}

// readEnvelope takes key and messages out of the body.
func readEnvelope(plain []byte, arrived time.Time) (batch, *refusal) {
	var b batch
	var list []byte
	for key, value := range members(plain) {
		switch key {
		case "api_key", "token":
			token, err := wantOptional(key, value)
			if err != nil {
				return b, refuse(http.StatusUnauthorized, "the request %v", err)
			}
			b.token = token
		case "batch":
			list = value
		}
	}
	if list == nil || list[0] != '[' {
		return b, refuse(http.StatusBadRequest, "the body is no object with a list named batch")
	}
	for _, raw := range elements(list) {
		m, err := parseMessage(raw, arrived)
		if err != nil {
			return b, refuse(http.StatusBadRequest, "message %d %v", len(b.messages)+1, err)
		}
		b.messages = append(b.messages, m)
	}
	if len(b.messages) == 0 {
		return b, refuse(http.StatusBadRequest, "the batch is empty")
	}
	return b, nil
}

// checkToken settles the key of the batch, which may also stand in its events, and refuses
// what no project key looks like. PostHog does not look here whether the key exists.
func checkToken(b *batch) *refusal {
	named := b.token != ""
	for _, m := range b.messages {
		if named || m.token == "" {
			continue
		}
		if b.token != "" && m.token != b.token {
			return refuse(http.StatusUnauthorized, "the events of the batch name two keys")
		}
		b.token = m.token
	}
	b.token = strings.TrimSpace(b.token)
	if err := tokenError(b.token); err != nil {
		return refuse(http.StatusUnauthorized, "%v", err)
	}
	return nil
}

func tokenError(token string) error {
	switch {
	case token == "":
		return errors.New("the request has no key")
	case len(token) > maxToken:
		return fmt.Errorf("the key is longer than %d bytes", maxToken)
	case strings.ContainsFunc(token, func(r rune) bool { return r > 0x7f || r == 0 }):
		return errors.New("the key is not ASCII")
	case strings.HasPrefix(token, "phx_"):
		return errors.New("the key is a personal one, not a project's")
	}
	return nil
}

// checkEvents refuses the batch for its first event without a name or an owner.
func checkEvents(messages []Message) *refusal {
	for i, m := range messages {
		if m.Event == "" {
			return refuse(http.StatusBadRequest, "message %d has an empty event name", i+1)
		}
		if m.DistinctID == "" {
			return refuse(http.StatusBadRequest, "message %d has no distinct_id", i+1)
		}
	}
	return nil
}

// pick returns the messages that are kept: all, none when one is bad, and those before the
// first one that is too big.
func pick(messages []Message, poison func(Message) int) ([]Message, *refusal) {
	verdict := func(m Message) int {
		if poison == nil {
			return 0
		}
		return poison(m)
	}
	for i, m := range messages {
		if status := verdict(m); status != 0 && status != http.StatusRequestEntityTooLarge {
			return nil, refuse(status, "message %d is poison", i+1)
		}
	}
	for i, m := range messages {
		if len(m.Raw) > maxEvent || verdict(m) != 0 {
			return messages[:i], refuse(http.StatusRequestEntityTooLarge, "message %d is too big", i+1)
		}
	}
	return messages, nil
}
