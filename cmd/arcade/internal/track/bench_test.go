package track

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// BenchmarkRecord is what recording adds to a command on a warm database, within the process:
// a connection of its own, one transaction, one sync. Another connection stays open, as that of
// a flusher at work would.
func BenchmarkRecord(b *testing.B) {
	home := b.TempDir()
	t := New("", "")
	t.Debug = io.Discard
	t.Env = func(name string) string { return map[string]string{"HOME": home}[name] }
	command := Command{Name: "logout", Began: time.Now(), Ended: time.Now()}
	t.Record(context.Background(), command)
	other, err := t.Queue()
	if err != nil {
		b.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Snapshot(context.Background(), outbox.Filter{Limit: 1}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if r := t.record(context.Background(), command, 0); r.err != nil {
			b.Fatal(r.err)
		}
	}
}
