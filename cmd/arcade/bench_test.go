package main

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// BenchmarkRecord is what recording adds to a command on a warm database, within the process:
// a connection of its own, one transaction, one sync. Another connection stays open, as that of
// a flusher at work would, so that closing is not the last close.
func BenchmarkRecord(b *testing.B) {
	a := newBenchApp(b.TempDir())
	home, err := a.home()
	if err != nil {
		b.Fatal(err)
	}
	other := a.newLedger(home)
	defer other.box.Close()
	recordOn(b, a, other)
	for b.Loop() {
		l := a.newLedger(home)
		recordOn(b, a, l)
		b.StopTimer()
		l.box.Close()
		b.StartTimer()
	}
}

// BenchmarkCommandTree is what every command pays before it runs.
func BenchmarkCommandTree(b *testing.B) {
	a := newBenchApp(b.TempDir())
	for b.Loop() {
		a.newRoot()
	}
}

func newBenchApp(home string) *app {
	a := newApp()
	a.out, a.err = io.Discard, io.Discard
	a.env = func(name string) string { return map[string]string{"HOME": home}[name] }
	return a
}

// recordOn does what track does, on a ledger that the benchmark can close.
func recordOn(tb testing.TB, a *app, l *ledger) {
	tb.Helper()
	event, properties := a.describe("logout", time.Millisecond, nil)
	message := outbox.Message{UUID: a.newUUID(), Kind: outbox.Capture, Event: event, Properties: properties, RecordedAt: a.now()}
	r := recording{app: a, ledger: l, credentials: l.readCredentials()}
	if err := l.advance(context.Background(), &message, r.input, r.look); err != nil {
		tb.Fatal(err)
	}
	if err := l.box.Leave(); err != nil {
		tb.Fatal(err)
	}
}
