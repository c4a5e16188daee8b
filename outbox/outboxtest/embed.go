package outboxtest

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// New returns the configuration of an outbox for a test: its database is in a directory of the test's, Record
// starts no process, DO_NOT_TRACK does not count, and the sink is a *[Sink]. The test adds what else its
// program sets, such as Tables, and closes the outbox when it ends.
func New(tb testing.TB) outbox.Config {
	return outbox.Config{
		Path:    filepath.Join(tb.TempDir(), "usage.db"),
		Sink:    &Sink{},
		Consent: outbox.ForceOn,
		Start:   func(string, []string) error { return nil },
	}
}

// Recorded returns every message that box has recorded, in that order, whatever became of it: State tells what waits
// from what was delivered and what is dead. Only what the outbox itself erases is missing, such as receipts of 7 days ago.
func Recorded(tb testing.TB, box *outbox.Outbox) (list []outbox.Message) {
	tb.Helper()
	// Update, unlike View, finds a database that is not there yet, or of an earlier version.
	err := box.Update(context.Background(), func(tx *outbox.Tx) error {
		list = nil
		for m, err := range tx.Messages(context.Background(), outbox.Filter{}) {
			if err != nil {
				return err
			}
			list = append(list, m)
		}
		return nil
	})
	if err != nil {
		tb.Fatalf("list what was recorded: %v", err)
	}
	return list
}

// Sink is an [outbox.Sink] that accepts every message and keeps it. The zero Sink is ready to use, by any
// number of goroutines.
type Sink struct {
	mu   sync.Mutex
	sent []outbox.Message
}

// Sent returns the messages that were delivered, in their order.
func (s *Sink) Sent() []outbox.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// Endpoint is a name.
func (s *Sink) Endpoint() string { return "outboxtest" }

// Check finds nothing wrong.
func (s *Sink) Check() error { return nil }

// Encode takes all messages into one request.
func (s *Sink) Encode(messages []outbox.Message) (body []byte, n int, err error) {
	return nil, len(messages), nil
}

// Send keeps the messages.
func (s *Sink) Send(_ context.Context, r outbox.Request) outbox.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, r.Messages...)
	return outbox.Answer{Verdict: outbox.Verdict{Outcome: outbox.Accepted}}
}

// Wire returns the message in JSON.
func (s *Sink) Wire(m outbox.Message) (json.RawMessage, error) { return json.Marshal(m) }
