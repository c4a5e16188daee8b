package outbox_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

func TestAFullQueueDropsTheOldestEventsNeverAliasesAndCounts(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0)
	b.add(b.alias("person"))
	b.fill(100_000-2, b.clock.Now())
	b.addEvents(1)
	b.holds(outbox.Counts{Pending: 100_000}, "the queue is full, and nothing is too many")
	b.addEvents(3)
	b.holds(outbox.Counts{Pending: 100_003 - 200, Dropped: 200}, "many are dropped at once, so that the next ones find room")
	if oldest := b.one(`SELECT min(seq) FROM messages WHERE kind = 'capture'`); oldest != 202 {
		t.Errorf("message %d is the oldest event, want 202: the oldest are dropped", oldest)
	}
	if first := b.messages()[0]; first.Kind != outbox.Alias {
		t.Error("the alias was dropped: what came before it would never belong to a person")
	}
}

// A message that was retried, and one behind a jump of the numbers, is far from the newest. The last
// number given is a row like any other, which may be damaged.
func TestAFewOldEventsAreNoFullQueue(t *testing.T) {
	b := newBench(t, 0)
	b.add(b.alias("person"))
	b.fill(10, b.clock.Now())
	b.exec(`UPDATE sqlite_sequence SET seq = 1000001 WHERE name = 'messages'`)
	b.addEvents(3)
	b.holds(outbox.Counts{Pending: 1 + 10 + 3}, "a million was delivered meanwhile, few wait")
}

func TestRetryDoesNotPassTheCapOfPendingMessages(t *testing.T) {
	b := newBench(t, 10)
	b.exec(`UPDATE messages SET state = 'dead'`)
	b.fill(99_996, b.clock.Now())
	b.tx(func(tx *outbox.Tx) error {
		n, err := tx.Retry(t.Context(), nil)
		if n != 4 {
			t.Errorf("%d messages are pending again, want the 4 for which there is room", n)
		}
		_, again := tx.Retry(t.Context(), nil)
		b.meets(again, outbox.ErrQueueFull, "one more retry")
		return err
	})
	b.holds(outbox.Counts{Pending: 100_000, Dead: 6}, "the newest stay dead")
}

func TestDeadMessagesHaveACap(t *testing.T) {
	b := newBench(t, 1100)
	b.flush(through(refusing()))
	b.holds(outbox.Counts{Dead: 1000, Dropped: 100}, "the newest are kept and the others counted")
	if first := b.messages()[0]; first.Seq != 101 {
		t.Errorf("the oldest dead message is number %d, want 101", first.Seq)
	}
}

func TestReceiptsAreKeptForSevenDaysAndAtMostFiveHundred(t *testing.T) {
	b := newBench(t, 600)
	b.mustFlush(through(always(accepted)))
	b.holds(outbox.Counts{}, "a receipt that is dropped is no loss")
	if n := b.counts().Delivered; n != 500 {
		t.Errorf("%d receipts, want 500", n)
	}
	for range 8 {
		b.clock.Advance(24 * time.Hour)
		b.addEvents(1)
		b.mustFlush(through(always(accepted)))
	}
	if c := b.counts(); c.Delivered != 7 && c.Delivered != 8 {
		t.Errorf("%d receipts after eight days, want those of the last seven", c.Delivered)
	}
}

func TestEventsOlderThanNinetyDaysAreDroppedAndCounted(t *testing.T) {
	b := newBench(t, 0)
	b.add(b.alias("person"))
	b.addEvents(2)
	for range 17 {
		b.flush(through(always(again)))
		b.clock.Advance(6 * 24 * time.Hour)
	}
	b.holds(outbox.Counts{Pending: 1, Dropped: 2}, "an alias is never dropped")
}

func TestAClockAYearAheadDropsNothing(t *testing.T) {
	b := newBench(t, 2)
	silent := through(always(again))
	b.flush(silent)
	for range 3 { // many commands may run until the clock is set right
		b.clock.Advance(365 * 24 * time.Hour)
		for range 20 {
			b.flush(silent)
			b.clock.Advance(time.Hour)
		}
		b.clock.Advance(-365 * 24 * time.Hour)
		b.flush(silent)
	}
	b.holds(outbox.Counts{Pending: 2}, "the clock was wrong, the events are new")
}

func TestTheFilesShrinkAfterADrainedBacklog(t *testing.T) {
	b := newBench(t, 0)
	size := func(suffix string) int64 {
		info, err := os.Stat(b.path + suffix)
		b.must(err)
		return info.Size()
	}
	b.fill(4_000, b.clock.Now())
	grown := size("") + size("-wal")
	b.mustFlush(through(always(accepted)))
	if now := size(""); now > grown/4 {
		t.Errorf("the database has %d bytes after the backlog of %d is gone", now, grown)
	}
	b.addEvents(1000) // there is nothing else to do than to truncate the WAL
	b.mustFlush(through(always(accepted)))
	if wal := size("-wal"); wal > 128<<10 {
		t.Errorf("the WAL has %d bytes after a flusher, want at most 128 kB: each command reads all of it", wal)
	}
}

// That nothing is left in the files is the store's promise.
func TestErasingTakesAllThatWaitsOffTheDiskAndCountsIt(t *testing.T) {
	for name, erase := range map[string]func(*outbox.Outbox) (int, error){
		"disable": func(o *outbox.Outbox) (int, error) { return o.Disable(t.Context()) },
		"clear":   func(o *outbox.Outbox) (int, error) { return o.Clear(t.Context(), nil) },
		"forget":  func(o *outbox.Outbox) (int, error) { return o.Forget(t.Context(), nil) },
	} {
		b := newBench(t, 0)
		m := b.event(1)
		b.add(m)
		b.must(os.WriteFile(b.path+".notes", nil, 0o600))
		if n, err := erase(b.box); err != nil || n != 1 {
			t.Fatalf("%s: erased %d, %v; want 1", name, n, err)
		}
		b.must(b.box.Close())
		if content, err := os.ReadFile(b.path); err != nil || bytes.Contains(content, []byte(m.UUID)) {
			t.Errorf("%s: the erased message is still in the database (%v)", name, err)
		}
		if b.box.GivenUp().Up > 0 {
			t.Errorf("%s: the notes are still there", name)
		}
		b.holds(outbox.Counts{Erased: 1}, "what was erased is counted")
	}
}
