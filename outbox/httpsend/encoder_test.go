package httpsend

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// encoder puts an event's name on the wire, and refuses an empty one.
func encoder() *Encoder {
	return &Encoder{Open: "[", Close: "]", Append: func(wire []byte, m outbox.Message) ([]byte, error) {
		if m.Event == "" {
			return nil, errors.New("empty")
		}
		return append(wire, m.Event...), nil
	}}
}

func messages(events ...string) []outbox.Message {
	list := make([]outbox.Message, len(events))
	for i, event := range events {
		list[i].Event = event
	}
	return list
}

func repeat(size, n int) []string {
	return strings.Split(strings.TrimSuffix(strings.Repeat(strings.Repeat("x", size)+" ", n), " "), " ")
}

func plain(t *testing.T, body []byte) string {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestABodyHasAsManyMessagesAsARequestMayCarry(t *testing.T) {
	tests := map[string]struct {
		events []string
		want   int
	}{
		"none":                          {nil, 0},
		"one":                           {[]string{"a"}, 1},
		"2,000":                         {repeat(1, 2000), 2000},
		"as many bytes as a body has":   {repeat(maxBody/16-2, 16), 16}, // with commas and brackets: 15 less
		"too many bytes":                {repeat(maxBody/16, 16), 15},
		"the largest one alone":         {repeat(500_000, 1), 1},
		"a large one behind a small":    {append(repeat(1, 1), repeat(499_999, 1)...), 2},
		"a bad one behind a full batch": {append(repeat(499_999, 9), ""), 8},
	}
	e := encoder() // the same for all, in any order: nothing of an earlier body may stay
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			body, n, err := e.Encode(messages(test.events...))
			if n != test.want || err != nil {
				t.Fatalf("%d messages, %v; want %d", n, err, test.want)
			}
			if n == 0 {
				return
			}
			want := "[" + strings.Join(test.events[:n], ",") + "]"
			if got := plain(t, body); got != want {
				t.Errorf("the body has %d bytes, want %d", len(got), len(want))
			}
			if len(want) > maxBody {
				t.Errorf("the body has %d bytes, want %d at most", len(want), maxBody)
			}
		})
	}
}

func TestTheFirstMessageThatCanNeverBeSentIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		events []string
		index  int
	}{
		"not valid":      {[]string{"a", "b", "", ""}, 2},
		"too large":      {[]string{"a", strings.Repeat("x", maxMessage+1)}, 1},
		"the first":      {[]string{""}, 0},
		"one of invalid": {[]string{"a", ""}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := encoder()
			body, n, err := e.Encode(messages(test.events...))
			var unsendable *outbox.Unsendable
			if !errors.As(err, &unsendable) || unsendable.Index != test.index || unsendable.Reason == "" {
				t.Fatalf("%v, want message %d named", err, test.index)
			}
			if body != nil || n != 0 {
				t.Errorf("a body of %d messages came with it", n)
			}
			if _, n, err := e.Encode(messages("a")); n != 1 || err != nil {
				t.Errorf("afterwards %d, %v; want the neighbours to be sendable", n, err)
			}
		})
	}
}

func TestABodyBelongsToItsCaller(t *testing.T) {
	e := encoder()
	first, _, _ := e.Encode(messages("first"))
	second, _, _ := e.Encode(messages("second"))
	if plain(t, first) != "[first]" || plain(t, second) != "[second]" {
		t.Error("a body was overwritten by the next one, which is made while it is sent")
	}
}

func TestTheServersOwnLimitsCount(t *testing.T) {
	e := encoder()
	e.MaxBody, e.MaxMessage = 10, 4
	if _, n, err := e.Encode(messages("aaaa", "bbb", "c")); n != 2 || err != nil {
		t.Errorf("%d messages, %v; want the two that make 10 bytes with brackets and a comma", n, err)
	}
	for name, ask := range map[string]func() error{
		"Encode": func() error { _, _, err := e.Encode(messages("aaaaa")); return err },
		"Wire":   func() error { _, err := e.Wire(messages("aaaaa")[0]); return err },
	} {
		var unsendable *outbox.Unsendable
		if err := ask(); !errors.As(err, &unsendable) {
			t.Errorf("%s takes 5 bytes, %v; want an Unsendable: the server has 4", name, err)
		}
	}
}
