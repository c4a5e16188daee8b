package outbox_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

func TestCheckTriesAndLeavesNothingBehind(t *testing.T) {
	b := newBench(t)
	if err := b.box.Check(context.Background()); err != nil {
		t.Errorf("where nothing was recorded yet: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(b.path)); err != nil || len(entries) > 0 {
		t.Errorf("it has made %v, %v; whoever looks makes nothing", entries, err)
	}
	b.recordOne()
	before := names(t, b.path)
	if err := b.open().Check(context.Background()); err != nil {
		t.Errorf("with a database that works: %v", err)
	}
	if after := names(t, b.path); len(after) > len(before) {
		t.Errorf("there were %v, and now there are %v", before, after)
	}
}

func TestCheckSaysWhatIsInTheWay(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(path string) error
		want  error
	}{
		"a directory in the lock's place": {
			func(path string) error {
				return errors.Join(os.Remove(path+".lock"), os.Mkdir(path+".lock", 0o700))
			}, outbox.ErrNotFile},
		"a directory in the place of the flusher's lock": {
			func(path string) error {
				return errors.Join(os.RemoveAll(path+".flusher.lock"), os.Mkdir(path+".flusher.lock", 0o700))
			}, outbox.ErrNotFile},
		"a directory in the database's place": {
			func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, outbox.ErrNotFile},
		"a file in the directory's place": {
			func(path string) error {
				return errors.Join(os.RemoveAll(filepath.Dir(path)), os.WriteFile(filepath.Dir(path), nil, 0o600))
			}, outbox.ErrNotDirectory},
		"no database": {
			func(path string) error { return os.WriteFile(path, make([]byte, 4096), 0o600) }, outbox.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.recordOne()
			b.box.Close()
			if err := test.spoil(b.path); err != nil {
				t.Fatal(err)
			}
			if err := b.open().Check(context.Background()); !errors.Is(err, test.want) {
				t.Errorf("it says %v, want %v", err, test.want)
			}
		})
	}
}

func TestARecordThatFailedIsCountedForAWeek(t *testing.T) {
	b := newBench(t)
	b.recordOne()
	if given := b.box.GivenUp(); given.Up != 0 {
		t.Errorf("all is well, and there is a note: %+v", given)
	}
	lock := b.path + ".lock"
	if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)); err != nil {
		t.Fatal(err)
	}
	first := b.clock.Now()
	for range 2 {
		if _, err := b.open().Record(context.Background(), func(*outbox.Tx) error { return nil }); err == nil {
			t.Fatal("it was recorded without a lock")
		}
		b.clock.Advance(time.Minute)
	}
	given := b.box.GivenUp()
	if given.Up != 2 || given.NotStarted != 0 || given.Reason != outbox.ErrNotFile.Error() || !given.Since.Equal(first) || !given.Last.After(first) {
		t.Errorf("%+v was given up, want both events, the reason and since when", given)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	b.mustFlush()
	if given := b.box.GivenUp(); given.Up != 2 {
		t.Errorf("%+v was given up, after a delivery; want it told all the same", given)
	}
	if _, err := b.box.Clear(context.Background(), nil); err != nil || b.box.GivenUp().Up != 0 {
		t.Errorf("%+v is left after Clear (%v)", b.box.GivenUp(), err)
	}
}

// An error of the caller's is no trouble of the outbox's.
func TestARecordThatTheCallerTakesBackLeavesNoNote(t *testing.T) {
	b := newBench(t)
	taken := errors.New("taken back")
	if _, err := b.box.Record(context.Background(), func(*outbox.Tx) error { return taken }); !errors.Is(err, taken) {
		t.Fatal(err)
	}
	if given := b.box.GivenUp(); given.Up != 0 {
		t.Errorf("there is a note: %+v", given)
	}
}

func TestAFlusherThatCannotBeStartedLeavesANote(t *testing.T) {
	b := newBench(t)
	b.box = b.open(func(cfg *outbox.Config) {
		cfg.Start = func(string, []string) error { return fs.ErrNotExist }
	})
	b.recordOne()
	if given := b.box.GivenUp(); given.Up != 1 || given.NotStarted != 1 {
		t.Errorf("%+v was given up, want one start: the message was recorded", given)
	}
}

func (b *bench) recordOne() {
	b.Helper()
	if _, err := b.box.Record(context.Background(), adding(b.event(1))); err != nil {
		b.Fatal(err)
	}
}

func names(t *testing.T, path string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}
