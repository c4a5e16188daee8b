package httpsend

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// encoder puts an event's name on the wire, in quotes, and its properties as they are. It refuses an empty name.
func encoder() *Encoder {
	return &Encoder{Open: "[", Close: "]", Form: func(m outbox.Message) (any, error) {
		switch {
		case m.Event == "":
			return nil, errors.New("empty")
		case m.Properties != nil:
			return m.Properties, nil
		}
		return m.Event, nil
	}}
}

// messages have names of so many bytes. On the wire each has two more, its quotes.
func messages(sizes ...int) (list []outbox.Message) {
	for _, size := range sizes {
		list = append(list, outbox.Message{Event: strings.Repeat("x", size)})
	}
	return list
}

func plain(body []byte) (text string, err error) {
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	all, err := io.ReadAll(reader)
	return string(all), err
}

func TestABodyHasAsManyMessagesAsARequestMayCarry(t *testing.T) {
	own := encoder()
	own.MaxBody, own.MaxMessage = 17, 6
	for name, test := range map[string]struct {
		encoder *Encoder
		sizes   []int
		want    int
	}{
		"2,000":                         {encoder(), slices.Repeat([]int{1}, 2000), 2000},
		"as many bytes as a body has":   {encoder(), append(slices.Repeat([]int{1<<18 - 3}, 15), 1<<18-4), 16},
		"one byte too many":             {encoder(), slices.Repeat([]int{1<<18 - 3}, 16), 15},
		"the largest one alone":         {encoder(), []int{500_000 - 2}, 1},
		"a bad one behind a full batch": {encoder(), append(slices.Repeat([]int{500_000 - 2}, 9), 0), 8},
		"the server's own limit":        {own, []int{4, 3, 1}, 2},
		"larger than a body, alone":     {&Encoder{Form: encoder().Form, MaxBody: 5}, []int{9, 9}, 1},
	} {
		list := messages(test.sizes...)
		body, n, err := test.encoder.Encode(list)
		if n != test.want || err != nil {
			t.Errorf("%s: %d messages, %v; want %d", name, n, err, test.want)
			continue
		}
		var names []string
		for _, m := range list[:n] {
			names = append(names, `"`+m.Event+`"`)
		}
		want := test.encoder.Open + strings.Join(names, ",") + test.encoder.Close
		if got, err := plain(body); got != want {
			t.Errorf("%s: the body has %d bytes (%v), want %d", name, len(got), err, len(want))
		}
	}
}

func TestTheFirstMessageThatCanNeverBeSentIsNamed(t *testing.T) {
	small := encoder()
	small.MaxMessage = 6
	broken := messages(1, 1)
	broken[1].Properties = json.RawMessage(`{"a":`)
	for name, test := range map[string]struct {
		encoder  *Encoder
		messages []outbox.Message
		index    int
	}{
		"its form says why":           {encoder(), messages(1, 1, 0, 0), 2},
		"the first":                   {encoder(), messages(0), 0},
		"its properties break off":    {encoder(), broken, 1},
		"too large":                   {encoder(), messages(1, 500_000-1), 1},
		"larger than the server says": {small, messages(4, 5), 1},
	} {
		var unsendable *outbox.Unsendable
		body, n, err := test.encoder.Encode(test.messages)
		if !errors.As(err, &unsendable) || unsendable.Index != test.index || unsendable.Reason == "" || body != nil || n != 0 {
			t.Errorf("%s: %d messages and %v, want none and message %d named, so that its neighbours arrive", name, n, err, test.index)
		}
		if _, err := test.encoder.Wire(test.messages[test.index]); !errors.As(err, &unsendable) {
			t.Errorf("%s: Wire says %v, want an Unsendable: Add would let the message wait in vain", name, err)
		}
	}
}
