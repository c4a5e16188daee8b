//go:build unix

package outbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// A process connects to the database before it has the lock, and may wait long for that.
func TestWhatHappensToTheDatabaseWhileTheLockIsWaitedForIsSeen(t *testing.T) {
	happenings := map[string]struct {
		happens func(b *bench)
		want    error
	}{
		"another process has recorded": {func(b *bench) {}, nil},
		"another process has replaced it": {func(b *bench) {
			if err := os.WriteFile(b.path, bytes.Repeat([]byte{0xAB}, 8192), 0o600); err != nil {
				b.Error(err)
			}
		}, nil},
		"somebody has removed it": {func(b *bench) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(b.path + suffix); err != nil {
					b.Error(err)
				}
			}
		}, nil},
		"a newer binary has migrated it": {func(b *bench) {
			db := b.open()
			err := db.InTx(context.Background(), func(tx *sql.Tx) error {
				_, err := tx.Exec(`ALTER TABLE messages ADD COLUMN mood TEXT; PRAGMA user_version = 99`)
				return err
			})
			if err != nil {
				b.Error(err)
			}
		}, outbox.ErrNewer},
	}
	for name, test := range happenings {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(3)
			b.box.Leave() // as commands do: the WAL stays
			late := b.open()
			b.points = func(point string) {
				if point != "opened-early" {
					return
				}
				b.points = nil
				test.happens(b)
				if test.want == nil {
					if err := b.open().InTx(context.Background(), b.adding(b.event(1))); err != nil {
						t.Errorf("another process could not record: %v", err)
					}
				}
			}
			if err := late.InTx(context.Background(), b.adding(b.event(2))); !errors.Is(err, test.want) {
				t.Fatalf("recording ended with %v, want %v", err, test.want)
			}
			if b.points != nil {
				t.Fatal("the database was not connected to before the lock was taken")
			}
			b.box = b.open() // as a process would see it that comes later
			if test.want == nil && b.counts().Pending < 2 {
				t.Errorf("%d messages are in the database, want both that were recorded since", b.counts().Pending)
			}
		})
	}
}
