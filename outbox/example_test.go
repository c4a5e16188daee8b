package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing/fstest"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// scratch returns a directory where a program would have one of its user's, such as that of os.UserConfigDir.
func scratch() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() { os.RemoveAll(dir) }
}

// A command records its event when it has ended. One transaction adds a message and changes the program's own tables, which are
// in the outbox's database, or does neither. In a program, main begins with outbox.Main, Sink is set, and Tables are embedded
// files; fs.Sub takes them out of their directory.
func ExampleOutbox_Record() {
	dir, remove := scratch()
	defer remove()
	ctx := context.Background()
	box, err := outbox.New(outbox.Config{
		Path: filepath.Join(dir, "hello.db"), Consent: outbox.ForceOn,
		Tables: fstest.MapFS{"0001_greetings.sql": {Data: []byte(`CREATE TABLE greetings (name TEXT NOT NULL) STRICT`)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer box.Close()
	recorded, err := box.Record(ctx, func(tx *outbox.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO greetings (name) VALUES (?)`, "Ada"); err != nil {
			return err
		}
		id, err := tx.InstallID(ctx)
		if err != nil {
			return err
		}
		return tx.Add(ctx, outbox.Message{Event: "greeted", AnonID: id, Properties: json.RawMessage(`{"name_length":3}`)})
	})
	if err != nil {
		fmt.Println("nothing was recorded:", err) // no reason to fail the command
	}
	fmt.Println("tell the user that events are kept:", recorded.First)
	// Output:
	// tell the user that events are kept: true
}

// lineSink prints messages, one a line. For a server, packages httpsink and httpsend do most of this.
type lineSink struct{}

// Endpoint names the place under which the outbox keeps what it learns.
func (lineSink) Endpoint() string { return "stdout" }

// Check tells what is wrong before anything is sent, as an *outbox.Unusable.
func (lineSink) Check() error { return nil }

// Wire is one message. An *outbox.Unsendable is the only error that it may return.
func (lineSink) Wire(m outbox.Message) (json.RawMessage, error) {
	line, err := json.Marshal(map[string]any{"event": m.Event, "of": m.DistinctID})
	if err != nil {
		return nil, &outbox.Unsendable{Reason: "it is no JSON"}
	}
	return line, nil
}

// Encode makes a body of all messages: stdout has no limit.
func (s lineSink) Encode(messages []outbox.Message) (body []byte, n int, err error) {
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
func (lineSink) Send(_ context.Context, r outbox.Request) outbox.Answer {
	verdict := outbox.Verdict{Outcome: outbox.Accepted}
	if _, err := os.Stdout.Write(r.Body); err != nil {
		verdict = outbox.Verdict{Outcome: outbox.Later, Code: outbox.CodeBroken, Reason: "stdout cannot be written"}
	}
	return outbox.Answer{Verdict: verdict}
}

// A sink of one's own has five methods.
func ExampleSink() {
	dir, remove := scratch()
	defer remove()
	ctx := context.Background()
	box, err := outbox.New(outbox.Config{Path: filepath.Join(dir, "usage.db"), Sink: lineSink{}, Consent: outbox.ForceOn})
	if err != nil {
		log.Fatal(err)
	}
	defer box.Close()
	_, err = box.Record(ctx, func(tx *outbox.Tx) error {
		return tx.Add(ctx, outbox.Message{Event: "greeted", AnonID: "somebody"})
	})
	if err != nil {
		log.Fatal(err)
	}
	done, err := box.Flush(ctx, outbox.FlushOptions{})
	fmt.Println("delivered:", done.Delivered, err)
	// Output:
	// {"event":"greeted","of":"somebody"}
	// delivered: 1 <nil>
}
