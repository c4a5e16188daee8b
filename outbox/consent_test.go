package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

func (b *bench) disable() {
	b.Helper()
	_, err := b.box.Disable(context.Background())
	b.must(err)
}

// The switch is a file of its own.
func TestWhateverHappensToTheDatabaseOffStaysOff(t *testing.T) {
	for name, harm := range map[string]func(b *bench, before []byte){
		"removed":              func(b *bench, _ []byte) { os.Remove(b.path) },
		"emptied":              func(b *bench, _ []byte) { os.Truncate(b.path, 0) },
		"garbage":              func(b *bench, _ []byte) { os.WriteFile(b.path, make([]byte, 10_000), 0o600) },
		"restored from before": func(b *bench, before []byte) { os.WriteFile(b.path, before, 0o600) },
		"corrupt, on before it was": func(b *bench, before []byte) {
			os.WriteFile(b.path, slices.Concat(before[:5000], bytes.Repeat([]byte{0xa5}, 4096), before[5000+4096:]), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(1)
			b.box.Close()
			before, err := os.ReadFile(b.path)
			b.must(err)
			b.disable()
			b.box.Close()
			harm(b, before)
			if _, err := b.box.Record(context.Background(), adding(b.event(1))); !errors.Is(err, outbox.ErrOff) {
				t.Errorf("recording gives %v, want ErrOff", err)
			}
			if err := b.box.Update(context.Background(), adding(b.event(1))); !errors.Is(err, outbox.ErrOff) {
				t.Errorf("adding a message in a transaction of one's own gives %v, want ErrOff", err)
			}
			if _, err := b.flush(); !errors.Is(err, outbox.ErrOff) || len(b.server.Requests()) > 0 {
				t.Errorf("delivering gives %v and %d requests, want ErrOff and none", err, len(b.server.Requests()))
			}
		})
	}
}

func TestEnableSwitchesOnAgainAndLeavesNoMark(t *testing.T) {
	b := newBench(t)
	b.disable()
	if b.box.ConsentBeside().On {
		t.Error("off is not seen without the database")
	}
	b.must(b.box.Enable(context.Background()))
	b.addEvents(1)
	if !b.box.ConsentBeside().On {
		t.Error("on is not seen without the database")
	}
}

func TestDisableHoldsAlsoWhenTheDatabaseCannotBeUsed(t *testing.T) {
	b := newBench(t)
	b.must(os.Mkdir(b.path, 0o700))
	if _, err := b.box.Disable(context.Background()); err == nil {
		t.Error("Disable does not say that it could not erase")
	}
	b.must(os.Remove(b.path))
	if err := b.box.Update(context.Background(), adding(b.event(1))); !errors.Is(err, outbox.ErrOff) {
		t.Errorf("adding a message gives %v, want ErrOff: what the user asked for was forgotten", err)
	}
}

func TestWhatTheEnvironmentGrantsIsNotStoppedByDisable(t *testing.T) {
	b := newBench(t)
	b.disable()
	granted := func(cfg *outbox.Config) { cfg.Consent = outbox.ForceOn }
	_, err := b.open(granted).Record(context.Background(), adding(b.event(1)))
	b.must(err)
	b.mustFlush(granted)
	b.arrived(1, "the environment has the last word")
}
