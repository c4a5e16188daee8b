package httpsend

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"

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

// Encoder makes bodies: an opening, messages with commas between them, a closing, compressed with gzip. One
// goroutine at a time may call Encode.
type Encoder struct {
	Open, Close string
	// Append appends a message to wire. Its error, in fixed words, says why the message can never be sent.
	Append func(wire []byte, m outbox.Message) ([]byte, error)
	// MaxBody and MaxMessage are how much the server takes, in bytes before compression. Zero means 4 MiB
	// and 500,000.
	MaxBody, MaxMessage int

	plain      []byte
	compressed bytes.Buffer
	gzip       *gzip.Writer
}

// Encode is [outbox.Sink].Encode.
func (e *Encoder) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	if len(messages) == 0 {
		return nil, 0, nil
	}
	e.plain = append(e.plain[:0], e.Open...)
	for n < len(messages) {
		before := len(e.plain)
		if n > 0 {
			e.plain = append(e.plain, ',')
		}
		plain, err := e.append(e.plain, messages[n], n)
		if err != nil {
			return nil, 0, err
		}
		if e.plain = plain; n > 0 && len(e.plain)+len(e.Close) > cmp.Or(e.MaxBody, maxBody) {
			e.plain = e.plain[:before]
			break
		}
		n++
	}
	e.plain = append(e.plain, e.Close...)
	body, err = e.compress()
	return body, n, err
}

// compress returns a body of its own: a transport may still read the last one.
func (e *Encoder) compress() ([]byte, error) {
	e.compressed.Reset()
	if e.gzip == nil { // the fastest level costs a third of the usual one's CPU and 3 to 25 % more bytes
		e.gzip, _ = gzip.NewWriterLevel(&e.compressed, gzip.BestSpeed)
	} else {
		e.gzip.Reset(&e.compressed)
	}
	if _, err := e.gzip.Write(e.plain); err != nil {
		return nil, err
	}
	if err := e.gzip.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(e.compressed.Bytes()), nil
}

// append appends the message that has this index.
func (e *Encoder) append(wire []byte, m outbox.Message, index int) ([]byte, error) {
	longer, err := e.Append(wire, m)
	if err != nil {
		return nil, &outbox.Unsendable{Index: index, Reason: err.Error()}
	}
	if len(longer)-len(wire) > cmp.Or(e.MaxMessage, maxMessage) {
		return nil, &outbox.Unsendable{Index: index, Reason: "larger than the server takes"}
	}
	return longer, nil
}

// Wire is [outbox.Sink].Wire.
func (e *Encoder) Wire(m outbox.Message) (json.RawMessage, error) {
	return e.append(nil, m, 0)
}
