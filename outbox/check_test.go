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

// What the database itself needs is tried by the store.
func TestCheckTriesTheLocksAndMakesNothing(t *testing.T) {
	b := newBench(t, 0)
	err := b.box.Check(t.Context())
	if files, _ := os.ReadDir(filepath.Dir(b.path)); err != nil || len(files) > 0 {
		t.Errorf("where nothing was recorded yet: %v, and %v was made", err, files)
	}
	for _, lock := range []string{".lock", ".flusher.lock"} {
		b := newBench(t, 1)
		b.must(b.box.Check(t.Context()))
		b.blocks(lock)
		b.meets(b.open().Check(t.Context()), outbox.ErrNotFile, "a directory in the place of usage.db"+lock)
	}
}

func TestARecordThatFailedIsCountedForAWeek(t *testing.T) {
	b := newBench(t, 1)
	b.blocks(".lock")
	first := b.clock.Now()
	for range 2 {
		_, err := b.open().Record(t.Context(), func(*outbox.Tx) error { return nil })
		b.meets(err, outbox.ErrNotFile, "recording without a lock")
		b.clock.Advance(time.Minute)
	}
	want := outbox.Given{Up: 2, Reason: outbox.ErrNotFile.Error(), Since: first, Last: first.Add(time.Minute)}
	if given := b.box.GivenUp(); given != want {
		t.Errorf("%+v was given up, want %+v", given, want)
	}
	b.must(os.Remove(b.path + ".lock"))
	b.mustFlush()
	notes := b.path + ".notes"
	for age, want := range map[time.Duration]int{6 * 24 * time.Hour: 2, 8 * 24 * time.Hour: 0} {
		written := b.clock.Now().Add(-age)
		b.must(os.Chtimes(notes, written, written))
		if given := b.box.GivenUp(); given.Up != want {
			t.Errorf("%+v was given up, after a delivery and %s; want %d", given, age, want)
		}
	}
	b.clock.Advance(25 * time.Hour)
	b.mustFlush()
	_, err := os.Stat(notes)
	b.meets(err, fs.ErrNotExist, "looking for notes that are too old, after housekeeping,")
	b.blocks(".notes")
	if given := b.box.GivenUp(); given.Up != 0 {
		t.Errorf("%+v was given up; want nothing: what is no file is not read, and a pipe would never answer", given)
	}
}

// The time is up where another process holds the lock; a user ends a command by hand; an error of the caller's is
// no trouble of the outbox's.
func TestARecordIsCountedAsGivenUpUnlessItsCallerEndedIt(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	inTime, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	taken := errors.New("taken back")
	for name, test := range map[string]struct {
		ctx     context.Context
		change  error
		givenUp int
	}{
		"it succeeds":   {t.Context(), nil, 0},
		"ended by hand": {ended, nil, 0},
		"out of time":   {late, nil, 1},
		"taken back":    {inTime, taken, 0},
	} {
		b := newBench(t, 1)
		_, err := b.box.Record(test.ctx, func(*outbox.Tx) error { return test.change })
		if given := b.box.GivenUp(); given.Up != test.givenUp || test.change != nil && err != test.change {
			t.Errorf("%s: it gives %v and the notes %+v, want %d", name, err, given, test.givenUp)
		}
	}
}

func TestAFlusherThatCannotBeStartedLeavesANote(t *testing.T) {
	b := newBench(t, 0)
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
		"its Resolve panics": {func(cfg *outbox.Config) error {
			cfg.Resolve = func(context.Context, *outbox.Outbox, []string) error { panic("/home/ada/secret") }
			return nil
		}, panicked},
		"it cannot be made": {func(cfg *outbox.Config) error { cfg.Tables = os.DirFS(t.TempDir()); return nil }, failed},
		// Removed, or set aside by another process, which makes it anew.
		"it finds no database": {func(cfg *outbox.Config) error { return os.Remove(os.Getenv(outbox.PathVariable)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 0)
			b.record(b.held("key"))
			b.box.Close()
			t.Setenv(outbox.PathVariable, b.path)
			err := outbox.DeliverDetached(func() (outbox.Config, error) {
				cfg := outbox.Config{Path: b.path, Sink: b.sink(), Consent: outbox.ForceOn}
				return cfg, test.spoil(&cfg)
			})
			content, _ := os.ReadFile(b.path + ".notes")
			given := b.box.GivenUp()
			if err == nil || (given.NotStarted == 1) != (test.reason != "") || given.Reason != test.reason || bytes.Contains(content, []byte("ada")) {
				t.Errorf("the flusher ended with %v, and %+v was given up (%q); want the reason %q", err, given, content, test.reason)
			}
		})
	}
}
