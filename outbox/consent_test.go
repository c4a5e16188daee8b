package outbox_test

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

func (b *bench) disable() {
	b.Helper()
	_, err := b.box.Disable(b.Context())
	b.must(err)
}

// The switch is a file of its own.
func TestWhateverHappensToTheDatabaseOffStaysOff(t *testing.T) {
	for name, harm := range map[string]func(b *bench, before []byte){
		"removed": func(b *bench, _ []byte) { os.Remove(b.path) },
		"emptied": func(b *bench, _ []byte) { os.Truncate(b.path, 0) },
		"garbage": func(b *bench, _ []byte) { os.WriteFile(b.path, make([]byte, 10_000), 0o600) },
		"of an earlier version, which kept the switch in it": func(b *bench, _ []byte) {
			schema1, err := os.ReadFile("testdata/schema1.db")
			b.must(errors.Join(err, os.Remove(b.path+".off"), os.WriteFile(b.path, schema1, 0o600)))
			db, err := sql.Open("sqlite", b.path)
			b.must(err)
			_, err = db.Exec(`UPDATE consent SET tracking = 0`)
			b.must(errors.Join(err, db.Close()))
		},
		"restored from before": func(b *bench, before []byte) { os.WriteFile(b.path, before, 0o600) },
		"corrupt, on before it was": func(b *bench, before []byte) {
			os.WriteFile(b.path, slices.Concat(before[:5000], bytes.Repeat([]byte{0xa5}, 4096), before[5000+4096:]), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 1)
			b.box.Close()
			before, err := os.ReadFile(b.path)
			b.must(err)
			b.disable()
			b.box.Close()
			harm(b, before)
			_, recording := b.box.Record(t.Context(), adding(b.event(1)))
			_, delivering := b.flush()
			for what, err := range map[string]error{
				"recording": recording, "delivering": delivering, "adding in an Update": b.box.Update(t.Context(), adding(b.event(1))),
			} {
				if !errors.Is(err, outbox.ErrOff) {
					t.Errorf("%s gives %v, want ErrOff", what, err)
				}
			}
			if n := len(b.server.Requests()); n > 0 {
				t.Errorf("%d requests were made", n)
			}
		})
	}
}

func TestEnableSwitchesOnAgain(t *testing.T) {
	b := newBench(t, 0)
	b.disable()
	if b.box.ConsentBeside().On {
		t.Error("off is not seen without the database")
	}
	b.must(b.box.Enable(t.Context()))
	b.addEvents(1)
	if !b.box.ConsentBeside().On {
		t.Error("on is not seen without the database")
	}
}

func TestDisableHoldsAlsoWhenTheDatabaseCannotBeUsed(t *testing.T) {
	b := newBench(t, 0)
	b.must(os.Mkdir(b.path, 0o700))
	if _, err := b.box.Disable(t.Context()); err == nil || b.box.ConsentBeside().On {
		t.Errorf("%v; want the error that nothing could be erased, and tracking off", err)
	}
}

func TestDisableErasesNothingWhenItsFileCannotBeMade(t *testing.T) {
	b := newBench(t, 1)
	b.blocks(".off")
	if _, err := b.box.Disable(t.Context()); err == nil {
		t.Error("Disable does not say that tracking may still be on")
	}
	b.holds(outbox.Counts{Pending: 1}, "off comes first")
}

func TestWhatTheEnvironmentGrantsIsNotStoppedByDisable(t *testing.T) {
	b := newBench(t, 0)
	b.disable()
	granted := func(cfg *outbox.Config) { cfg.Consent = outbox.ForceOn }
	_, err := b.open(granted).Record(t.Context(), adding(b.event(1)))
	b.must(err)
	b.mustFlush(granted)
	b.arrived(1, "the environment has the last word")
}
