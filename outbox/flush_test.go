package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ArcadeAI/arcade-cli/outbox"
	"github.com/ArcadeAI/arcade-cli/outbox/outboxtest"
)

func TestEverythingIsDeliveredInOrderAndOnce(t *testing.T) {
	for _, n := range []int{1, 500, 501} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := newBench(t)
			b.addEvents(n)
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
				if got := c.Properties()["n"]; got != float64(i) {
					t.Fatalf("message %d arrived in place %d", int(got.(float64)), i)
				}
			}
			if want := (n + 499) / 500; len(b.server.Requests()) != want {
				t.Errorf("%d requests, want %d of at most 500 messages", len(b.server.Requests()), want)
			}
			b.noViolations()
		})
	}
}

func TestAMessageKeepsItsTimestampAndUUID(t *testing.T) {
	b := newBench(t)
	m := b.event(1)
	b.add(m)
	b.clock.Advance(30 * 24 * time.Hour)
	b.mustFlush()
	got := b.server.Commits()[0]
	if !got.Timestamp.Equal(m.RecordedAt) || got.UUID != m.UUID {
		t.Errorf("sent as %s at %s, recorded as %s at %s: PostHog could not fold repeats",
			got.UUID, got.Timestamp, m.UUID, m.RecordedAt)
	}
}

// Every fault: the flusher ends, believes nothing that PostHog did not keep, and delivers
// everything once the fault is over, as the same bytes.
func TestNothingIsLostOrDoubledByAnyFault(t *testing.T) {
	for _, fault := range outboxtest.AllFaults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.addEvents(3)
			b.server.SetFaults(fault)
			// Two seconds for what hangs, where a flusher has nine.
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			var delay *outbox.Delay
			if _, err := b.box.Deliver(ctx, 0, nil); err != nil && !errors.As(err, &delay) && ctx.Err() == nil {
				t.Fatalf("the run ended with %v, want a delay", err)
			}
			b.clock.Advance(2 * time.Hour) // past every back-off and Retry-After
			b.mustFlush()
			if n := len(b.server.Events()); n+b.counts().Dead != 3 {
				t.Errorf("PostHog has %d messages and %d are dead, want 3 together", n, b.counts().Dead)
			}
			if c := b.counts(); c.Pending != 0 || c.Dead != 0 {
				t.Errorf("%d pending and %d dead after the fault", c.Pending, c.Dead)
			}
			b.noViolations()
		})
	}
}

func TestBackOffIsKeptAcrossProcessesAndDoubles(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	b.server.SetFault(outboxtest.MustFault("502"))
	for _, want := range []time.Duration{2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 20 * time.Second} {
		b.flush()
		s := b.schedule()
		if got := s.Next(b.clock.Now()).Sub(b.clock.Now()); got != want { // without jitter: half the interval
			t.Errorf("after %d failures the next try is in %s, want %s", s.Failures, got, want)
		}
		requests := len(b.server.Requests())
		b.flush()
		if n := len(b.server.Requests()); n != requests {
			t.Errorf("another process asked again during the back-off")
		}
		b.clock.Advance(want)
	}
}

func TestARetryAfterHoldsAlsoForAPersonAndABackOffDoesNot(t *testing.T) {
	tests := []struct {
		fault string
		want  time.Duration // until a person may try again
	}{
		{"503", 0},
		{"503:retry-after=30", 30 * time.Second},
		{"429:retry-after=120", 2 * time.Minute},
		{"429:retry-after=99999999", time.Hour},
		{"429:retry-after=99999999999999999999999999", time.Hour},
		{"429:retry-after=Mon, 23 Nov 2020 10:05:00 GMT", 0},
		{"429:retry-after=-5", 0},
		{"429:retry-after=nonsense", 0},
	}
	for _, test := range tests {
		t.Run(test.fault, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(1)
			b.server.SetFaults(outboxtest.MustFault(test.fault))
			_, first := b.flushByHand()
			_, err := b.flushByHand()
			if test.want == 0 {
				if err != nil {
					t.Errorf("a person's flush ended with %v, want our own back-off to be ignored", err)
				}
				return
			}
			for run, err := range []error{first, err} {
				var delay *outbox.Delay
				if !errors.As(err, &delay) {
					t.Fatalf("run %d of a person ended with %v, want the server's wish respected", run+1, err)
				}
				if got := delay.Until.Sub(b.clock.Now()).Round(time.Second); got != test.want {
					t.Errorf("run %d says a hold of %s, want %s", run+1, got, test.want)
				}
			}
		})
	}
}

func TestAClockThatJumpedDoesNotHoldDeliveryForever(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	b.clock.Advance(365 * 24 * time.Hour)
	b.server.SetFaults(outboxtest.MustFault("503"))
	b.flush()
	b.clock.Advance(-365 * 24 * time.Hour)
	b.mustFlush()
	if n := len(b.server.Events()); n != 1 {
		t.Errorf("PostHog has %d messages, want 1: a back-off from a clock a year ahead is over", n)
	}
}

func TestTheSameBytesAreSentAfterALostAnswer(t *testing.T) {
	b := newBench(t)
	b.addEvents(5)
	b.server.SetFaults(outboxtest.MustFault("commit+reset-after-body"))
	b.flush()
	b.clock.Advance(time.Hour)
	b.mustFlush()
	commits := b.server.Commits()
	if len(commits) != 10 {
		t.Fatalf("%d messages were committed, want the five twice", len(commits))
	}
	for i := range 5 {
		if string(commits[i].Raw) != string(commits[i+5].Raw) {
			t.Errorf("message %d changed between two attempts:\n%s\n%s", i, commits[i].Raw, commits[i+5].Raw)
		}
	}
	if n := len(b.server.Events()); n != 5 {
		t.Errorf("PostHog folds them into %d events, want 5", n)
	}
}

func TestAnUndecidedEventGoesOutAnonymouslyOnlyWhenItIsAboutToBeSent(t *testing.T) {
	b := newBench(t)
	m := b.event(0)
	m.DistinctID, m.Hold = "", "fingerprint"
	b.add(m)
	var asked, told []string
	_, err := b.flush(func(cfg *outbox.Config) {
		cfg.Resolve = func(_ context.Context, _ *outbox.Outbox, names []string) error {
			asked = append(asked, names...)
			if b.messages(outbox.Filter{})[0].DistinctID != "" {
				t.Error("the event was decided before anybody was asked")
			}
			return nil
		}
		cfg.Released = func(_ context.Context, _ *outbox.Tx, anonID string) error {
			told = append(told, anonID)
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(asked, []string{"fingerprint"}) || !slices.Equal(told, []string{anonA}) {
		t.Errorf("asked about %v, told %v; want once each", asked, told)
	}
	if got := b.server.Commits()[0]; got.DistinctID != anonA || got.Properties()["$process_person_profile"] != false {
		t.Errorf("sent as %s with %v, want the anon id without a profile", got.DistinctID, got.Properties())
	}
}

func TestADecisionComesBeforeTheFirstAttempt(t *testing.T) {
	b := newBench(t)
	alias := b.alias()
	alias.DistinctID = ""
	m := b.event(0)
	m.DistinctID, m.Hold = "", "fingerprint"
	b.add(alias, m)
	_, err := b.flush(func(cfg *outbox.Config) {
		cfg.Resolve = func(ctx context.Context, o *outbox.Outbox, _ []string) error {
			return o.Update(ctx, func(tx *outbox.Tx) error {
				if err := tx.Decide(ctx, outbox.Held{Kind: outbox.Alias, AnonID: anonA}, "person"); err != nil {
					return err
				}
				return tx.Decide(ctx, outbox.Held{Kind: outbox.Capture, Hold: "fingerprint"}, "person")
			})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	commits := b.server.Commits()
	if len(commits) != 2 || !commits[0].IsAlias() || commits[1].DistinctID != "person" {
		t.Errorf("PostHog has %v, want the alias and then the person's event", commits)
	}
	if _, ok := commits[1].Properties()["$process_person_profile"]; ok {
		t.Error("a person's event says $process_person_profile: no profile would be made of it")
	}
	b.noViolations()
}

func TestAWaitingAliasHoldsUpNothingAndIsNotSettledWithItsNeighbours(t *testing.T) {
	b := newBench(t)
	b.addEvents(2)
	alias := b.alias()
	alias.DistinctID = ""
	b.add(alias)
	b.addEvents(2)
	// The alias is decided while the request with its neighbours is under way.
	b.points = func(name string) {
		if name == "answered" {
			b.points = nil
			b.tx(func(tx *outbox.Tx) error {
				return tx.Decide(context.Background(), outbox.Held{Kind: outbox.Alias, AnonID: anonA}, "person")
			})
		}
	}
	b.mustFlush()
	commits := b.server.Commits()
	if len(commits) != 5 || !commits[4].IsAlias() {
		t.Errorf("PostHog has %v, want the four events and then the alias", commits)
	}
}

func TestNothingIsSentOnceTrackingIsOff(t *testing.T) {
	b := newBench(t)
	b.addEvents(2)
	b.points = func(name string) {
		if name == "answered" { // after the first request, before the next one
			b.points = nil
			b.addEvents(1)
			if _, err := b.open().Disable(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := b.flush(); !errors.Is(err, outbox.ErrOff) {
		t.Errorf("the run ended with %v, want ErrOff", err)
	}
	if err := b.box.Enable(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.mustFlush()
	if n := len(b.server.Commits()); n != 2 {
		t.Errorf("PostHog has %d messages, want the 2 sent before: what waited must be erased for ever", n)
	}
}

func TestAnEventCommittedWhileTheFlusherLeavesIsDelivered(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	b.points = func(name string) {
		if name == "flushed" {
			b.points = nil
			b.addEvents(1)
		}
	}
	b.mustFlush()
	if n := len(b.server.Commits()); n != 2 {
		t.Errorf("PostHog has %d messages, want 2: the command saw the flusher's lock and started none", n)
	}
}

func TestOneFlusherAtATime(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	second := b.open()
	checked := false
	b.points = func(name string) {
		if name != "claimed" || checked {
			return
		}
		checked = true
		if !b.box.Flushing() {
			t.Error("a flusher is at work and nobody can see it")
		}
		if _, err := second.Deliver(context.Background(), 0, nil); !errors.Is(err, outbox.ErrBusy) {
			t.Errorf("a second flusher got %v, want ErrBusy", err)
		}
	}
	b.mustFlush()
	if !checked {
		t.Fatal("the flusher never came to its first batch")
	}
	// The second one, which gave up, has stood in the kernel's queue for the lock and is given it yet.
	if !b.box.AwaitFlusher(t.Context(), time.Minute) {
		t.Error("the flusher is gone and its lock is not")
	}
}

func TestAPersonGoesAheadOfAFlusherThatSitsOutABackOff(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	b.server.SetFaults(outboxtest.MustFault("503"))
	b.flush()
	waiting, ended := make(chan bool), make(chan error)
	b.points = func(name string) {
		if name == "waiting" {
			close(waiting)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	patient := b.open()
	go func() {
		_, err := patient.Deliver(ctx, 8*time.Second, nil)
		ended <- err
	}()
	<-waiting
	if !b.schedule().Waiting(b.clock.Now()) || b.box.Flushing() {
		t.Error("a flusher that waits must be seen as waiting, not as at work")
	}
	if result, err := b.flushByHand(); err != nil || result.Delivered != 1 {
		t.Errorf("a person's flush delivered %d: %v", result.Delivered, err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("the patient flusher was sent away and says nothing of it")
	}
	b.noViolations()
}

func TestAPatientFlusherDeliversWhenTheBackOffIsOver(t *testing.T) {
	b := newBench(t)
	b.addEvents(1)
	b.server.SetFaults(outboxtest.MustFault("503"))
	b.flush()
	b.clock.Advance(2400 * time.Millisecond) // of 2.5 s
	b.points = func(name string) {
		if name == "waiting" {
			b.clock.Advance(time.Second)
		}
	}
	if result, err := b.open().Deliver(context.Background(), time.Second, nil); err != nil || result.Delivered != 1 {
		t.Errorf("delivered %d: %v; the last command of an outage must not need another one", result.Delivered, err)
	}
}

// Its own second failure is no reason to leave, if the time suffices.
func TestAPatientFlusherSitsOutTheNextBackOffToo(t *testing.T) {
	for name, test := range map[string]struct {
		passes    time.Duration // before the second flusher begins; the first back-off has 2.5 s
		delivered int
		waits     []time.Duration
	}{
		"time for both": {2400 * time.Millisecond, 1, []time.Duration{100 * time.Millisecond, 5 * time.Second}},
		"for one":       {0, 0, []time.Duration{2500 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(1)
			b.server.SetFaults(outboxtest.MustFault("503"), outboxtest.MustFault("503"))
			b.flush()
			b.clock.Advance(test.passes)
			var waits []time.Duration
			b.points = func(name string) {
				if name == "waiting" {
					s := b.schedule()
					if !s.Waiting(b.clock.Now()) {
						t.Error("commands do not see that it waits, and start another")
					}
					waits = append(waits, s.WaitingUntil.Sub(b.clock.Now()))
					b.clock.Advance(waits[len(waits)-1] + time.Millisecond)
				}
			}
			result, err := b.open().Deliver(context.Background(), 7*time.Second, nil)
			if result.Delivered != test.delivered || (err == nil) != (test.delivered == 1) || !slices.Equal(waits, test.waits) {
				t.Errorf("delivered %d after waits of %v, %v; want %d after %v", result.Delivered, waits, err, test.delivered, test.waits)
			}
		})
	}
}

func TestADamagedRowDoesNotHoldUpItsNeighbours(t *testing.T) {
	for name, damage := range map[string]string{
		"properties that are no object": `UPDATE messages SET properties = '[1]' WHERE seq = 2`,
		"properties that are no JSON":   `UPDATE messages SET properties = 'x' WHERE seq = 2`,
		"no valid uuid":                 `UPDATE messages SET uuid = 'x' WHERE seq = 2`,
		"no event":                      `UPDATE messages SET event = '' WHERE seq = 2`,
		"no distinct id":                `UPDATE messages SET distinct_id = '', anon_id = '' WHERE seq = 2`,
		"too large":                     `UPDATE messages SET properties = '{"x":"' || hex(zeroblob(300000)) || '"}' WHERE seq = 2`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.addEvents(3)
			b.exec(damage)
			b.mustFlush()
			if c := b.counts(); c.Dead != 1 || c.Delivered != 2 || len(b.server.Events()) != 2 {
				t.Errorf("%+v and %d at PostHog, want the damaged one dead and two delivered", c, len(b.server.Events()))
			}
		})
	}
}
