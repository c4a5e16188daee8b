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
		for !strings.Contains(<-said, "msg=delivered") {
		}
		b.arrived(n+1, "it was recorded beside Run")
	}
	if r, err := daemon.Record(t.Context(), adding(b.event(3))); err != nil || r.Started || r.Trouble != nil {
		t.Errorf("recorded %+v, %v; want no process started beside Run, which delivers", r, err)
	}
	b.meets(end(), context.Canceled, "Run, at the end of its context,")
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
	if line := <-said; len(said) > 0 || !strings.Contains(line, "no sink takes the messages") {
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
	b.meets(err, outbox.ErrNested, "the inner one")
	b.addEvents(1) // and nothing is left locked
}

// ending is a context that ends when the test says so, not when a busy machine comes round to it.
type ending struct {
	context.Context
	left time.Duration // until the deadline that it gives; 0: none
	over chan struct{}
	err  error
}

func newEnding(t *testing.T, left time.Duration) *ending {
	return &ending{Context: t.Context(), left: left, over: make(chan struct{})}
}

func (e *ending) end(err error) {
	e.err = err
	close(e.over)
}

func (e *ending) Deadline() (time.Time, bool) { return time.Now().Add(e.left), e.left > 0 }

func (e *ending) Done() <-chan struct{} { return e.over }

func (e *ending) Err() error {
	select {
	case <-e.over:
		return e.err
	default:
		return nil
	}
}

// lingering runs a flusher that has delivered one event and lingers, and calls meanwhile. When that flusher has ended, it
// returns how often it had the lock.
func (b *bench) lingering(ctx context.Context, meanwhile func()) (runs int) {
	b.Helper()
	b.addEvents(1)
	began := false
	box := b.open(func(cfg *outbox.Config) {
		cfg.Point = func(name string) {
			switch {
			case name == "flushing":
				runs++
			case name == "lingering" && !began:
				began = true
				meanwhile()
			}
		}
	})
	if _, err := box.DeliverAndLinger(ctx); err != nil || !began {
		b.Fatalf("the flusher ended with %v, and lingered: %t", err, began)
	}
	return runs
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
			started := false
			next := func() { started = b.record(message) }
			if test.isGone {
				b.lingering(t.Context(), func() {})
				next()
			} else {
				b.lingering(t.Context(), next)
			}
			if started != test.starts {
				t.Errorf("a flusher was started: %t, want %t", started, test.starts)
			}
			b.arrived(test.arrived, "the one that lingers sends what it can")
		})
	}
}

func TestAFlusherDoesNotLingerIntoTheEndOfItsLife(t *testing.T) {
	b := newBench(t, 0)
	if runs := b.lingering(newEnding(t, 5*time.Second), func() { b.record(b.event(2)) }); runs != 2 {
		t.Errorf("it had the lock %d times; want it released while a request can still be answered", runs)
	}
	b.arrived(2, "it looks once more after that: the command saw the lock and started no flusher")
}
