package httpsend

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"io"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// The limits of an Encoder that has none of its own.
const (
	// maxBody is the size of a request. PostHog takes 20 MB on its old path, 50 on its new.
	maxBody = 4 << 20
	// maxMessage is about what fits into one record of PostHog's queue, which has 1,000,000 bytes with the
	// properties quoted once more.
	maxMessage = 500_000
)

// Encoder makes bodies: an opening, messages in JSON with commas between them, a closing, compressed with gzip.
type Encoder struct {
	Open, Close string
	// Form returns what package json makes a message's JSON of. Its error, in fixed words, says why the message
	// can never be sent.
	Form func(m outbox.Message) (any, error)
	// MaxBody and MaxMessage are how much the server takes, in bytes before compression. Zero means 4 MiB
	// and 500,000.
	MaxBody, MaxMessage int
}

// Encode is [outbox.Sink].Encode.
func (e *Encoder) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	var compressed bytes.Buffer
	// The fastest level costs a third of the usual one's CPU and 3 to 25 % more bytes. No level that there is, and no
	// buffer, has an error.
	plain, _ := gzip.NewWriterLevel(&compressed, gzip.BestSpeed)
	size, separator := len(e.Close), e.Open
	for n < len(messages) {
		wire, err := e.Wire(messages[n])
		if err != nil {
			return nil, 0, &outbox.Unsendable{Index: n, Reason: err.Error()}
		}
		if size += len(separator) + len(wire); n > 0 && size > cmp.Or(e.MaxBody, maxBody) {
			break
		}
		_, _ = io.WriteString(plain, separator)
		_, _ = plain.Write(wire)
		separator = ","
		n++
	}
	_, _ = io.WriteString(plain, e.Close)
	err = plain.Close()
	return compressed.Bytes(), n, err
}

// Wire is [outbox.Sink].Wire.
func (e *Encoder) Wire(m outbox.Message) (json.RawMessage, error) {
	form, err := e.Form(m)
	if err != nil {
		return nil, &outbox.Unsendable{Reason: err.Error()}
	}
	wire, err := json.Marshal(form)
	if err != nil {
		return nil, &outbox.Unsendable{Reason: "not a valid message: its properties are no JSON object, or its time is not valid"}
	}
	if len(wire) > cmp.Or(e.MaxMessage, maxMessage) {
		return nil, &outbox.Unsendable{Reason: "larger than the server takes"}
	}
	return wire, nil
}
