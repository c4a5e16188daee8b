package track_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/ArcadeAI/arcade-cli/cmd/arcade/internal/track"
	"github.com/ArcadeAI/arcade-cli/outbox"
)

// olderHome has the database of an earlier version, with three messages that wait and four receipts.
func olderHome(t *testing.T, env map[string]string) (q *track.Queue, database string) {
	t.Helper()
	content, err := os.ReadFile("../../../../outbox/testdata/schema1.db")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	database = filepath.Join(home, ".arcade", "usage.db")
	if err := os.Mkdir(filepath.Dir(database), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(database, content, 0o600); err != nil {
		t.Fatal(err)
	}
	tracker := track.New("1.0.0", "")
	tracker.Env = func(name string) string {
		if name == "HOME" || name == "USERPROFILE" {
			return home
		}
		return env[name]
	}
	if q, err = tracker.Queue(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q, database
}

// A command right after an update would otherwise read that nothing waits, and end.
func TestWhatWaitsIsShownBeforeAnyCommandOfTheNewVersionHasRecorded(t *testing.T) {
	q, _ := olderHome(t, nil)
	s, err := q.Snapshot(context.Background(), outbox.Filter{})
	if err != nil || s.Counts.Pending != 3 || len(s.Messages) != 7 || s.AnonID == "" {
		t.Errorf("%d pending of %d messages, id %q, error %v: want 3 of 7 and this home's id",
			s.Counts.Pending, len(s.Messages), s.AnonID, err)
	}
}

func TestWithTrackingOffNobodyWhoLooksMigratesTheDatabase(t *testing.T) {
	q, database := olderHome(t, map[string]string{"ARCADE_USAGE_TRACKING": "0"})
	before, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Snapshot(context.Background(), outbox.Filter{}); err != nil {
		t.Errorf("looking fails with %v", err)
	}
	if after, err := os.ReadFile(database); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the database was written to while tracking was off (%v)", err)
	}
}

// "There is nothing to erase" must be true whatever switched tracking off.
func TestWithTrackingOffADatabaseOfAnEarlierVersionIsErasedAllTheSame(t *testing.T) {
	q, _ := olderHome(t, map[string]string{"ARCADE_USAGE_TRACKING": "0"})
	s, err := q.Erasable(context.Background())
	if err != nil || s.Counts.Pending != 3 {
		t.Errorf("%d messages wait to be erased, error %v: want 3", s.Counts.Pending, err)
	}
	if erased, _, err := q.Clear(context.Background()); err != nil || erased != 3 {
		t.Errorf("%d erased, error %v: want 3", erased, err)
	}
}
