package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// fileSink appends messages to a file, one a line. For a server, packages httpsink and httpsend do most of this.
type fileSink struct{ path string }

// Endpoint names the place under which the outbox keeps what it learns.
func (s fileSink) Endpoint() string { return s.path }

// Check tells what is wrong before anything is sent.
func (s fileSink) Check() error {
	if s.path == "" {
		return &outbox.Unusable{Code: outbox.CodeAddress, Reason: "no file is named", Example: "/var/log/hello.jsonl"}
	}
	return nil
}

// Wire is one message. An *outbox.Unsendable is the only error that it may return.
func (s fileSink) Wire(m outbox.Message) (json.RawMessage, error) {
	line, err := json.Marshal(map[string]any{"id": m.UUID, "event": m.Event, "at": m.RecordedAt, "of": m.DistinctID})
	if err != nil {
		return nil, &outbox.Unsendable{Reason: "it has no time"}
	}
	return line, nil
}

// Encode makes a body of all messages: a file has no limit.
func (s fileSink) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	var lines bytes.Buffer
	for i, m := range messages {
		line, err := s.Wire(m)
		if err != nil {
			return nil, 0, &outbox.Unsendable{Index: i, Reason: err.Error()}
		}
		lines.Write(append(line, '\n'))
	}
	return lines.Bytes(), len(messages), nil
}

// Send returns one verdict for all messages; a server that answers for each would fill in Answer.Each. A reason
// is in fixed words: it may be shown.
func (s fileSink) Send(_ context.Context, r outbox.Request) outbox.Answer {
	file, err := os.OpenFile(s.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = file.Write(r.Body)
		file.Close()
	}
	if err != nil {
		return outbox.Answer{Verdict: outbox.Verdict{Outcome: outbox.Later, Code: outbox.CodeBroken, Reason: "the file cannot be written"}}
	}
	return outbox.Answer{Verdict: outbox.Verdict{Outcome: outbox.Accepted}}
}

// A sink of one's own has five methods.
func ExampleSink() {
	dir, remove := scratch()
	defer remove()
	ctx := context.Background()
	sink := fileSink{path: filepath.Join(dir, "hello.jsonl")}
	box, err := outbox.New(outbox.Config{Path: filepath.Join(dir, "usage.db"), Sink: sink, Consent: outbox.ForceOn})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer box.Close()
	_, err = box.Record(ctx, func(tx *outbox.Tx) error {
		return tx.Add(ctx, outbox.Message{Event: "greeted", AnonID: "somebody"})
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	done, err := box.Flush(ctx, outbox.FlushOptions{})
	content, _ := os.ReadFile(sink.path)
	fmt.Println("delivered:", done.Delivered, err, "lines:", bytes.Count(content, []byte("\n")))
	// Output:
	// delivered: 1 <nil> lines: 1
}
