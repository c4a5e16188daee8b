package outbox_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// A process can be stopped (SIGSTOP, a laptop's lid) anywhere, with the write lock in hand.
// Others wait for a while and then go on without the lock; once it wakes up, neither it nor
// they may have lost anything.
func TestAProcessThatIsStoppedWhileItCreatesTheDatabaseHarmsNobody(t *testing.T) {
	for _, point := range []string{"created", "initialized", "migrated-1", "after-commit"} {
		t.Run(point, func(t *testing.T) {
			b := newBench(t)
			b.points = func(name string) {
				if name != point {
					return
				}
				b.points = nil
				if err := b.hasty().InTx(context.Background(), b.adding(b.event(1))); err != nil {
					t.Errorf("another process could not record: %v", err)
				}
			}
			if err := b.box.InTx(context.Background(), b.adding(b.event(2))); err != nil {
				t.Errorf("the process could not go on after it was stopped: %v", err)
			}
			if b.points != nil {
				t.Fatal("the point was never reached")
			}
			if n := b.counts().Pending; n != 2 {
				t.Errorf("%d messages are in the outbox, want the two that were committed", n)
			}
		})
	}
}

// A flusher has many transactions and ten seconds.
func TestAStoppedProcessIsWaitedForOnce(t *testing.T) {
	b := newBench(t)
	const wait = 500 * time.Millisecond
	other := outbox.New(outbox.Config{Path: b.path, Now: b.clock.Now, LockWait: wait})
	b.points = func(name string) {
		if name != "after-commit" { // the write lock is in hand, SQLite's is not
			return
		}
		b.points = nil
		start := time.Now()
		for range 6 {
			if err := other.InTx(context.Background(), b.adding(b.event(1))); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took > 3*wait {
			t.Errorf("six transactions took %s, want one wait of %s", took, wait)
		}
	}
	b.addEvents(1)
	if err := other.InTx(context.Background(), b.adding(b.event(2))); err != nil {
		t.Error(err)
	}
	if n := b.counts().Pending; n != 8 {
		t.Errorf("%d messages are in the outbox, want 8", n)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}

// hasty returns an outbox as another process has it that does not wait long for the lock.
func (b *bench) hasty() *outbox.Outbox {
	box := outbox.New(outbox.Config{Path: b.path, Now: b.clock.Now, LockWait: 10 * time.Millisecond})
	b.Cleanup(func() {
		if err := box.Close(); err != nil {
			b.Errorf("close: %v", err)
		}
	})
	return box
}

func (b *bench) adding(m outbox.Message) func(tx *sql.Tx) error {
	return func(tx *sql.Tx) error { return outbox.AddTx(context.Background(), tx, m) }
}
