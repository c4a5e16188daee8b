package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestEverythingIsDeliveredInOrderAndOnceAsItWasRecorded(t *testing.T) {
	const n = 501 // in two requests
	b := newBench(t, n)
	recorded := b.messages()
	b.clock.Advance(30 * 24 * time.Hour)
	if got := b.mustFlush(); got.Delivered != n {
		t.Errorf("delivered %d of %d", got.Delivered, n)
	}
	if last := b.schedule().LastSuccess; !last.Equal(b.clock.Now().Truncate(time.Millisecond)) {
		t.Errorf("the last delivery was at %s, want %s", last, b.clock.Now())
	}
	commits := b.server.Commits()
	if len(commits) != n {
		t.Fatalf("PostHog has %d messages, want each of the %d once", len(commits), n)
	}
	for i, c := range commits {
		if m := recorded[i]; c.UUID != m.UUID || !c.Timestamp.Equal(m.RecordedAt) {
			t.Fatalf("in place %d came %s of %s, want %s of %s", i, c.UUID, c.Timestamp, m.UUID, m.RecordedAt)
		}
	}
}

// Every fault: the flusher ends, believes nothing that PostHog did not keep, and delivers
// everything once the fault is over. That it is sent again as the same bytes is the server's to see.
func TestNothingIsLostOrDoubledByAnyFault(t *testing.T) {
	for _, fault := range outboxtest.AllFaults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 3)
			b.server.SetFaults(fault)
			// Two seconds for what hangs, where a flusher has nine.
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if _, err := b.box.Deliver(ctx, 0); err != nil && delayOf(err).Code == "" && ctx.Err() == nil {
				t.Fatalf("the run ended with %v, want a delay", err)
			}
			b.clock.Advance(2 * time.Hour) // past every back-off and Retry-After
			b.mustFlush()
			b.holds(outbox.Counts{}, "the fault is over")
			b.arrived(3, "nothing is lost")
		})
	}
}

func TestBackOffIsKeptAcrossProcessesAndDoublesUntilSomethingIsDelivered(t *testing.T) {
	b := newBench(t, 2)
	s := always(again)
	for run, want := range []time.Duration{2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 20 * time.Second} {
		b.flush(through(s))
		if got := b.schedule().Next(b.clock.Now()).Sub(b.clock.Now()); got != want { // without jitter: half the interval
			t.Errorf("after %d failures the next try is in %s, want %s", run+1, got, want)
		}
		if b.flush(through(s)); len(s.requests) != run+1 {
			t.Errorf("another process asked again during the back-off")
		}
		b.clock.Advance(want)
	}
	s.answer = each(func(n int64) outbox.Verdict { return []outbox.Verdict{accepted, again}[n] })
	b.flush(through(s))
	if f := b.schedule().Failures; f != 1 {
		t.Errorf("%d failures, want 1: the server answers again", f)
	}
}

func TestARetryAfterHoldsAlsoForAPersonAndABackOffDoesNot(t *testing.T) {
	for fault, want := range map[outboxtest.Fault]time.Duration{ // until a person may try again
		"503":                      0,
		"503:retry-after=30":       30 * time.Second,
		"429:retry-after=99999999": time.Hour,
	} {
		b := newBench(t, 1)
		b.server.SetFaults("503", "503", "503", "503", fault)
		for range 4 { // until our own back-off is the longer one
			b.flushByHand()
		}
		_, first := b.flushByHand()
		_, second := b.flushByHand()
		if want == 0 {
			b.must(second)
			continue
		}
		for run, err := range []error{first, second} {
			if got := delayOf(err).Until.Sub(b.clock.Now()).Round(time.Second); got != want {
				t.Errorf("%s: run %d of a person ended with %v, a hold of %s; want one of %s", fault, run+1, err, got, want)
			}
		}
	}
}

// resolving makes a flusher ask resolve about the names that messages are held under.
func resolving(resolve func(names []string) error) func(cfg *outbox.Config) {
	return func(cfg *outbox.Config) {
		cfg.Resolve = func(_ context.Context, _ *outbox.Outbox, names []string) error { return resolve(names) }
	}
}

func TestAnUndecidedEventGoesOutAnonymouslyOnlyWhenItIsAboutToBeSent(t *testing.T) {
	b := newBench(t, 0)
	b.add(b.held("fingerprint"))
	var asked, told []string
	b.mustFlush(resolving(func(names []string) error {
		asked = append(asked, names...)
		if b.messages()[0].DistinctID != "" {
			t.Error("the event was decided before Resolve was asked")
		}
		return nil
	}), func(cfg *outbox.Config) {
		cfg.Released = func(_ context.Context, _ *outbox.Tx, anonID string) error {
			told = append(told, anonID)
			return nil
		}
	})
	if !slices.Equal(asked, []string{"fingerprint"}) || !slices.Equal(told, []string{anonA}) {
		t.Errorf("asked about %v, told %v; want once each", asked, told)
	}
	if got := b.server.Commits()[0]; got.DistinctID != anonA || got.Properties()["$process_person_profile"] != false {
		t.Errorf("sent as %s with %v, want the anon id without a profile", got.DistinctID, got.Properties())
	}
}

// The command of the later name has started a flusher with its secrets.
func TestWhatIsHeldUnderALaterNameIsLeftAndWhatComesBeforeIsDecided(t *testing.T) {
	b := newBench(t, 0)
	b.add(b.held("early"))
	b.mustFlush(resolving(func([]string) error {
		b.add(b.held("early"), b.held("late"), b.event(2))
		return nil
	}))
	var ids []string
	for _, m := range b.messages() {
		ids = append(ids, m.DistinctID)
	}
	if want := []string{anonA, anonA, "", anonA}; !slices.Equal(ids, want) {
		t.Errorf("the messages belong to %q, want %q: what was sent never changes, a name is asked about once, and the rest waits", ids, want)
	}
	b.holds(outbox.Counts{Pending: 2}, "the later name was not asked about")
}

func TestAWaitingAliasHoldsUpNothingAndIsNotSettledWithItsNeighbours(t *testing.T) {
	b := newBench(t, 2)
	b.add(b.alias(""))
	b.addEvents(2)
	b.once("answered", func() { // it is decided while the request with its neighbours is under way
		b.tx(func(tx *outbox.Tx) error {
			return tx.Decide(t.Context(), outbox.Held{Kind: outbox.Alias, AnonID: anonA}, "person")
		})
	})
	b.mustFlush()
	if commits := b.server.Commits(); len(commits) != 5 || !commits[4].IsAlias() {
		t.Errorf("PostHog has %v, want the four events and then the alias", commits)
	}
}

// The user's word counts until the request leaves, also when the flusher has its batch in hand
// already, and even if it was stopped there for so long that tracking is on again.
func TestWhatTheUserTakesBackIsNotSent(t *testing.T) {
	ctx := t.Context()
	disable := func(box *outbox.Outbox) error { _, err := box.Disable(ctx); return err }
	backOn := func(box *outbox.Outbox) error { return errors.Join(disable(box), box.Enable(ctx)) }
	eraseAndGoOn := func(box *outbox.Outbox) error {
		_, err := box.Clear(ctx, nil)
		return errors.Join(err, box.Update(ctx, adding(outbox.Message{Event: "ran", AnonID: anonA})))
	}
	for name, test := range map[string]struct {
		point string
		say   func(box *outbox.Outbox) error
		sent  int
		want  error // of the run
	}{
		"off, when the batch is taken":                     {"claimed", disable, 0, outbox.ErrOff},
		"off and on, when the batch is taken":              {"claimed", backOn, 0, nil},
		"erase, and record again, when the batch is taken": {"claimed", eraseAndGoOn, 1, nil},
		"off, between two requests":                        {"answered", disable, 2, outbox.ErrOff},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 2)
			b.once(test.point, func() {
				b.addEvents(1)
				b.must(test.say(b.open()))
			})
			_, err := b.flush()
			b.meets(err, test.want, "the run")
			if b.schedule().Failures != 0 {
				t.Error("it counts as a failure of the server's")
			}
			b.must(b.box.Enable(ctx))
			b.addEvents(1)
			b.mustFlush()
			b.arrived(test.sent+1, "one was recorded afterwards")
		})
	}
}

func TestOneFlusherIsAtWorkAtATimeAndItsEndCanBeWaitedFor(t *testing.T) {
	b := newBench(t, 1)
	at := b.server.PauseNext()
	done := make(chan error, 1)
	go func() {
		_, err := b.flushByHand() // which gives the server all the time
		done <- err
	}()
	<-at.Reached()
	if !b.box.Flushing() {
		t.Error("a flusher is at work and commands do not see it")
	}
	_, err := b.open().Deliver(t.Context(), 0)
	b.meets(err, outbox.ErrBusy, "a second flusher")
	b.disable()
	if b.box.AwaitFlusher(t.Context(), 10*time.Millisecond) {
		t.Error("the wait ended while a request was under way")
	}
	at.Release()
	if !b.box.AwaitFlusher(t.Context(), time.Minute) {
		t.Error("the wait did not end with the flusher")
	}
	b.arrived(1, "it was under way")
	if err := <-done; err != nil && !errors.Is(err, outbox.ErrOff) {
		t.Error(err)
	}
}

func TestAPersonGoesAheadOfAFlusherThatSitsOutABackOff(t *testing.T) {
	b := newBench(t, 1)
	b.flush(through(always(again)))
	ctx, cancel := context.WithCancel(t.Context())
	b.once("waiting", func() {
		if !b.schedule().Waiting(b.clock.Now()) || b.box.Flushing() {
			t.Error("a flusher that waits must be seen as waiting, not as at work")
		}
		if result, err := b.flushByHand(); err != nil || result.Delivered != 1 {
			t.Errorf("a person's flush delivered %d: %v", result.Delivered, err)
		}
		cancel()
	})
	if _, err := b.open().Deliver(ctx, 8*time.Second); err == nil {
		t.Error("the patient flusher was sent away and says nothing of it")
	}
}

// The last command of an outage must not need another one.
func TestAPatientFlusherSitsOutTheBackOffsThatItsTimeSufficesFor(t *testing.T) {
	for name, test := range map[string]struct {
		failures  int           // its own
		passes    time.Duration // before it begins; the first back-off has 2.5 s
		delivered int
		waits     []time.Duration
	}{
		"one":                               {0, 2400 * time.Millisecond, 1, []time.Duration{100 * time.Millisecond}},
		"two, of which the last is its own": {1, 2400 * time.Millisecond, 1, []time.Duration{100 * time.Millisecond, 5 * time.Second}},
		"one of two":                        {1, 0, 0, []time.Duration{2500 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 1)
			b.server.SetFaults(slices.Repeat([]outboxtest.Fault{"503"}, 1+test.failures)...)
			b.flush()
			b.clock.Advance(test.passes)
			var waits []time.Duration
			b.points = func(name string) {
				if name != "waiting" {
					return
				}
				wait := b.schedule().WaitingUntil.Sub(b.clock.Now()) // commands see it and start no other
				waits = append(waits, wait)
				b.clock.Advance(wait + time.Millisecond)
			}
			result, err := b.open().Deliver(t.Context(), 7*time.Second)
			if result.Delivered != test.delivered || (err == nil) != (test.delivered == 1) || !slices.Equal(waits, test.waits) {
				t.Errorf("delivered %d after waits of %v, %v; want %d after %v", result.Delivered, waits, err, test.delivered, test.waits)
			}
		})
	}
}

func TestADamagedRowDoesNotHoldUpItsNeighbours(t *testing.T) {
	for name, damage := range map[string]string{
		"properties that are no JSON": `properties = 'x'`,
		"no distinct id":              `distinct_id = '', anon_id = ''`,
		"a time of no calendar":       `recorded_at = 4611686018427387904`,
		"no text":                     `event = CAST(x'ff00' AS TEXT), anon_id = CAST(x'fe' AS TEXT), distinct_id = 'x'`,
		"too large":                   `properties = '{"x":"' || hex(zeroblob(300000)) || '"}'`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 3)
			b.exec(`UPDATE messages SET ` + damage + ` WHERE seq = 2`)
			b.mustFlush()
			b.holds(outbox.Counts{Dead: 1}, "the damaged one is dead")
			b.arrived(2, "they are its neighbours")
		})
	}
}

// The index says that a message waits, and its row that it is in an unknown state. SQLite calls that damage once the row is
// changed: then the database is replaced. A run that passed the row over would take it again and again.
func TestAMessageThatItsIndexAloneCallsPendingDoesNotHoldUpItsNeighbours(t *testing.T) {
	for what, sent := range map[string]struct {
		letter  byte // that the properties of the message begin with
		arrived int
	}{"one that can be sent": {'{', 3}, "one that cannot": {'x', 2}} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, 3)
			b.must(b.box.Close()) // moves the WAL into the database
			content, err := os.ReadFile(b.path)
			b.must(err)
			row := bytes.Index(content, []byte(`{"n":1}`))
			state := row + bytes.Index(content[row:], []byte("pending"))
			content[row], content[state] = sent.letter, 'x'
			b.must(os.WriteFile(b.path, content, 0o600))
			if got := b.mustFlush(); got.Delivered != 2 {
				t.Errorf("delivered %d, want 2: the third is in the copy of the damaged database", got.Delivered)
			}
			b.holds(outbox.Counts{}, "nothing waits")
			b.arrived(sent.arrived, "what can be sent goes with its neighbours")
		})
	}
}
