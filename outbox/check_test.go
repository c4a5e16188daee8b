package outbox_test

import (
	"bytes"
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
	for _, there := range []string{"where nothing was recorded yet", "with a database that works"} {
		files := func() int {
			entries, err := os.ReadDir(filepath.Dir(b.path))
			b.must(err)
			return len(entries)
		}
		before := files()
		if err := b.open().Check(context.Background()); err != nil || files() > before {
			t.Errorf("%s: %v, and %d files became %d; a look makes nothing", there, err, before, files())
		}
		b.record(b.event(1))
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
			b.record(b.event(1))
			b.box.Close()
			b.must(test.spoil(b.path))
			if err := b.open().Check(context.Background()); !errors.Is(err, test.want) {
				t.Errorf("it says %v, want %v", err, test.want)
			}
		})
	}
}

func TestARecordThatFailedIsCountedForAWeek(t *testing.T) {
	b := newBench(t)
	b.record(b.event(1))
	if given := b.box.GivenUp(); given.Up != 0 {
		t.Errorf("all is well, and there is a note: %+v", given)
	}
	lock := b.path + ".lock"
	b.must(errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)))
	first := b.clock.Now()
	for range 2 {
		if _, err := b.open().Record(context.Background(), func(*outbox.Tx) error { return nil }); err == nil {
			t.Fatal("it was recorded without a lock")
		}
		b.clock.Advance(time.Minute)
	}
	given := b.box.GivenUp()
	if given.Up != 2 || given.NotStarted != 0 || given.Reason != outbox.ErrNotFile.Error() ||
		!given.Since.Equal(first) || !given.Last.After(first) {
		t.Errorf("%+v was given up, want both events, the reason and since when", given)
	}
	b.must(os.Remove(lock))
	b.mustFlush()
	if given := b.box.GivenUp(); given.Up != 2 {
		t.Errorf("%+v was given up, after a delivery; want it told all the same", given)
	}
	if _, err := b.box.Clear(context.Background(), nil); err != nil || b.box.GivenUp().Up != 0 {
		t.Errorf("%+v is left after Clear (%v)", b.box.GivenUp(), err)
	}
}

// The time is up where another process holds the lock, a user ends a command by hand.
func TestARecordWhoseTimeIsUpIsCountedAndOneThatTheUserEndsIsNot(t *testing.T) {
	b := newBench(t)
	b.record(b.event(1))
	nothing := func(*outbox.Tx) error { return nil }
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := b.open().Record(ended, nothing); err == nil || b.box.GivenUp().Up != 0 {
		t.Errorf("ended by hand, it gives %v and the notes %+v", err, b.box.GivenUp())
	}
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, err := b.open().Record(late, nothing); err == nil || b.box.GivenUp().Up != 1 {
		t.Errorf("out of time, it gives %v and the notes %+v; want one", err, b.box.GivenUp())
	}
	inside, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	taken := errors.New("taken back")
	if _, err := b.open().Record(inside, func(*outbox.Tx) error { return taken }); !errors.Is(err, taken) || b.box.GivenUp().Up != 1 {
		t.Errorf("taken back in time, it gives %v and the notes %+v", err, b.box.GivenUp())
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
	box := b.open(func(cfg *outbox.Config) { cfg.Start = func(string, []string) error { return fs.ErrNotExist } })
	if r, err := box.Record(t.Context(), adding(b.event(1))); err != nil || r.Started || r.Trouble == nil {
		t.Errorf("recorded %+v, %v; want the trouble told", r, err)
	}
	if given := b.box.GivenUp(); given.Up != 1 || given.NotStarted != 1 {
		t.Errorf("%+v was given up, want one start: the message was recorded", given)
	}
}

// A flusher's output goes nowhere.
func TestAFlusherThatFailsBeforeItDeliversLeavesANote(t *testing.T) {
	const failed, panicked = "the flusher's configuration failed", "the flusher panicked"
	for name, test := range map[string]struct {
		spoil  func(cfg *outbox.Config) error // what config, the function given to Main, does
		reason string
	}{
		"its configuration fails":  {func(*outbox.Config) error { return errors.New("/home/ada/secret") }, failed},
		"its configuration panics": {func(*outbox.Config) error { panic("/home/ada/secret") }, panicked},
		"its sink panics":          {func(cfg *outbox.Config) error { cfg.Sink = panicking{}; return nil }, panicked},
		"its Resolve panics": {func(cfg *outbox.Config) error {
			cfg.Resolve = func(context.Context, *outbox.Outbox, []string) error { panic("/home/ada/secret") }
			return nil
		}, panicked},
		"it cannot be made":    {func(cfg *outbox.Config) error { cfg.Tables = os.DirFS(t.TempDir()); return nil }, failed},
		"it finds no database": {func(cfg *outbox.Config) error { return os.Remove(os.Getenv(outbox.PathVariable)) }, outbox.ErrNone.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.record(b.held("key"))
			b.box.Close()
			t.Setenv(outbox.PathVariable, b.path)
			err := outbox.DeliverDetached(func() (outbox.Config, error) {
				cfg := outbox.Config{Path: b.path, Sink: b.sink(), Consent: outbox.ForceOn}
				return cfg, test.spoil(&cfg)
			})
			content, _ := os.ReadFile(b.path + ".notes")
			given := b.box.GivenUp()
			if err == nil || given.NotStarted != 1 || given.Reason != test.reason || bytes.Contains(content, []byte("ada")) {
				t.Errorf("the flusher ended with %v, and %+v was given up (%q); want the reason %q", err, given, content, test.reason)
			}
		})
	}
}

// panicking is a sink whose methods panic.
type panicking struct{ outbox.Sink }
