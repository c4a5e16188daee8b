package outbox_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
)

// A flusher that is started by mistake must not run the tests once more.
func TestMain(m *testing.M) {
	if os.Getenv("OUTBOX_FLUSHER") != "" {
		panic("a test has started a flusher, or OUTBOX_FLUSHER is set")
	}
	os.Exit(m.Run())
}

// lines is a log that a test reads line by line.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func (l lines) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-l:
		return line
	case <-time.After(2 * time.Minute):
		t.Fatal("the log is not told")
		return ""
	}
}

// run starts a program that delivers for long, and ends it. The log gets what it says.
func (b *bench) run(log lines, change func(*outbox.Config)) (box *outbox.Outbox, end func() error) {
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	box = b.open(func(cfg *outbox.Config) { cfg.Log = slog.New(slog.NewTextHandler(log, nil)) }, change)
	go func() { ended <- box.Run(ctx) }()
	return box, func() error {
		cancel()
		return <-ended
	}
}

func TestAProgramWithoutAnEndDeliversWhatItRecordsMeanwhile(t *testing.T) {
	b := newBench(t, 0)
	said := make(lines, 100)
	daemon, end := b.run(said, func(*outbox.Config) {})
	for n := range 2 {
		b.addEvents(1)
		for !strings.Contains(said.next(t), "msg=delivered") {
		}
		b.arrived(n+1, "it was recorded beside Run")
	}
	if r, err := daemon.Record(t.Context(), adding(b.event(3))); err != nil || r.Started || r.Trouble != nil {
		t.Errorf("recorded %+v, %v; want no process started beside Run, which delivers", r, err)
	}
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v, want its context's error", err)
	}
}

func TestAnErrorThatStaysIsLoggedOnce(t *testing.T) {
	b := newBench(t, 1)
	said, looks := make(lines, 100), make(chan bool, 1000)
	_, end := b.run(said, func(cfg *outbox.Config) {
		cfg.Sink = nil
		cfg.Point = func(name string) { looks <- name == "flushing" }
	})
	for n := 0; n < 3; {
		if <-looks {
			n++
		}
	}
	_ = end()
	if line := said.next(t); len(said) > 0 || !strings.Contains(line, "no sink takes the messages") {
		t.Errorf("the log is told %q and %d lines more, want once that there is no sink", line, len(said))
	}
}

func TestAnInstallationHasOneIDUntilItIsForgotten(t *testing.T) {
	b := newBench(t, 0)
	id := func() (id string) {
		b.tx(func(tx *outbox.Tx) (err error) { id, err = tx.InstallID(t.Context()); return err })
		return id
	}
	first := id()
	if first == "" || id() != first {
		t.Errorf("the id was %q and is %q, want one that stays", first, id())
	}
	if _, err := b.box.Clear(t.Context(), nil); err != nil || id() != first {
		t.Errorf("the id is %q after Clear (%v), want %q", id(), err, first)
	}
	if _, err := b.box.Forget(t.Context(), nil); err != nil || id() == first {
		t.Errorf("the id is still %q after Forget (%v)", first, err)
	}
}

// A test that calls the program's main would otherwise have the test binary started, and with it all tests again.
func TestAProcessThatHasNotCalledMainOrRunsTestsStartsNothingAndSaysSo(t *testing.T) {
	b := newBench(t, 0)
	box := b.open(func(cfg *outbox.Config) { cfg.Start = nil })
	for range 2 {
		r, err := box.Record(t.Context(), adding(b.event(1)))
		if err != nil || r.Started || !errors.Is(r.Trouble, outbox.ErrNoMain) {
			t.Errorf("recorded %+v, %v; want no copy of the test started, and ErrNoMain", r, err)
		}
		outbox.Main(func() (outbox.Config, error) { return outbox.Config{}, nil })
	}
}

func TestASecretIsHandedOnlyToTheFlusherOfAHeldMessage(t *testing.T) {
	t.Setenv("HELLO_KEY", "arc_x")
	b := newBench(t, 0)
	var handed []string
	box := b.open(func(cfg *outbox.Config) {
		cfg.Secrets = []string{"HELLO_KEY"}
		cfg.Start = func(_ string, environment []string) error { handed = environment; return nil }
	})
	for _, m := range []outbox.Message{b.event(1), b.held("credential")} {
		r, err := box.Record(t.Context(), adding(m))
		if got := slices.Contains(handed, "HELLO_KEY=arc_x"); err != nil || !r.Started || got != (m.Hold != "") {
			t.Errorf("held under %q: %+v, %v; the secret is handed over: %t", m.Hold, r, err, got)
		}
	}
}

func TestWithoutASinkThereIsNoWireForm(t *testing.T) {
	b := newBench(t, 0)
	without := b.open(func(cfg *outbox.Config) { cfg.Sink = nil })
	if wire, err := without.Wire(b.event(1)); err == nil || !strings.Contains(err.Error(), "Config.Sink") {
		t.Errorf("%s, %v; want an error that names the setting", wire, err)
	}
	if wire, err := b.box.Wire(b.event(1)); err != nil || !strings.Contains(string(wire), "uuid") {
		t.Errorf("%s, %v; want the message", wire, err)
	}
}

func TestAnyNumberOfGoroutinesMayUseOneOutbox(t *testing.T) {
	b := newBench(t, 0)
	const goroutines, events = 8, 25
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for n := range events {
				if r, err := b.box.Record(context.Background(), adding(b.event(n))); err != nil || r.Trouble != nil {
					t.Errorf("%v, %v", err, r.Trouble)
				}
			}
		})
	}
	all.Go(func() {
		if _, err := b.box.Flush(context.Background(), outbox.FlushOptions{}); err != nil {
			t.Error(err)
		}
	})
	all.Wait()
	b.mustFlush()
	b.arrived(goroutines*events, "each was recorded once")
}

func TestRecordWithinRecordIsAnErrorAtOnce(t *testing.T) {
	b := newBench(t, 0)
	_, err := b.box.Record(t.Context(), func(*outbox.Tx) error {
		_, err := b.box.Record(t.Context(), adding(b.event(1)))
		return err
	})
	if !errors.Is(err, outbox.ErrNested) {
		t.Errorf("the inner one ended with %v, want ErrNested", err)
	}
	b.addEvents(1) // and nothing is left locked
}

// ending is a context whose time is up when the test says so, not when a busy machine comes round to it.
type ending struct {
	context.Context
	left time.Duration // until the deadline that it gives; 0: none
	over chan struct{}
}

func newEnding(t *testing.T, left time.Duration) *ending {
	return &ending{t.Context(), left, make(chan struct{})}
}

func (e *ending) end() { close(e.over) }

func (e *ending) Deadline() (time.Time, bool) { return time.Now().Add(e.left), e.left > 0 }

func (e *ending) Done() <-chan struct{} { return e.over }

func (e *ending) Err() error {
	select {
	case <-e.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// lingering runs a flusher that has delivered one event and lingers, and calls meanwhile. It returns
// when that flusher has ended.
func (b *bench) lingering(meanwhile func()) {
	b.Helper()
	b.addEvents(1)
	var began bool
	box := b.open(func(cfg *outbox.Config) {
		cfg.Point = func(name string) {
			if name == "lingering" && !began {
				began = true
				meanwhile()
			}
		}
	})
	if _, err := box.DeliverAndLinger(context.Background()); err != nil || !began {
		b.Fatalf("the flusher ended with %v, and lingered: %t", err, began)
	}
}

func TestAScriptsNextCommandNeedsAFlusherOnlyWhereTheOneThatLingersDoesNotDo(t *testing.T) {
	for name, test := range map[string]struct {
		isHeld, isGone, starts bool
		arrived                int
	}{
		"it delivers the next event":                        {arrived: 2},
		"it may lack the key that a held message waits for": {isHeld: true, starts: true, arrived: 1},
		"it is gone": {isGone: true, starts: true, arrived: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 0)
			message := b.event(2)
			if test.isHeld {
				message = b.held("a key")
			}
			next := func() {
				if got := b.record(message); got != test.starts {
					t.Errorf("a flusher was started: %t, want %t", got, test.starts)
				}
			}
			if test.isGone {
				b.lingering(func() {})
				next()
			} else {
				b.lingering(next)
			}
			b.arrived(test.arrived, "the one that lingers sends what it can")
		})
	}
}

func TestAFlusherDoesNotLingerIntoTheEndOfItsLife(t *testing.T) {
	b := newBench(t, 1)
	var runs, waits int
	box := b.open(func(cfg *outbox.Config) {
		cfg.Point = func(name string) {
			switch name {
			case "flushing":
				runs++
			case "lingering":
				if waits++; waits == 1 {
					b.record(b.event(2))
				}
			}
		}
	})
	if _, err := box.DeliverAndLinger(newEnding(t, 5*time.Second)); err != nil || runs != 2 {
		t.Errorf("it had the lock %d times and ended with %v; want it released while a request can still be answered", runs, err)
	}
}

func TestAFlusherThatLingersEndsWhenTrackingIsSwitchedOff(t *testing.T) {
	b := newBench(t, 0)
	b.lingering(b.disable)
	if b.box.Flushing() {
		t.Error("the flusher is still at work: usage disable would wait for all of its time")
	}
}
